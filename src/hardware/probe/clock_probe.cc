#include "hardware/probe/clock_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <ctime>

#include "base/fs.h"
#include "base/wall_clock.h"

namespace moecap::hardware {
namespace {

constexpr int kStamps = 3;
constexpr double kNs = 1e-9;

double Seconds(const timespec& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * kNs; }

// Local file systems stamp by the kernel's coarse clock.
double CoarseStepS() {
  timespec step{};
  return clock_getres(CLOCK_REALTIME_COARSE, &step) == 0 ? Seconds(step) : 0;
}

struct Stamp {
  int64_t before_ns = 0, after_ns = 0, stamped_ns = 0;
};

std::optional<Stamp> StampOf(const std::filesystem::path& file) {
  Stamp stamp;
  stamp.before_ns = WallTimeNs();
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return std::nullopt;
  struct stat facts {};
  const bool stamped = ::write(fd, "t", 1) == 1 && ::fsync(fd) == 0 && ::fstat(fd, &facts) == 0;
  ::close(fd);
  stamp.after_ns = WallTimeNs();
  ::unlink(file.c_str());
  stamp.stamped_ns = int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec;
  return stamped ? std::optional(stamp) : std::nullopt;
}

}  // namespace

std::optional<double> WallClockErrorS() {
  timex kernel{};
  const int state = ::adjtimex(&kernel);
  if (state < 0 || state == TIME_ERROR || (kernel.status & STA_UNSYNC) != 0) return std::nullopt;
  return static_cast<double>(kernel.maxerror) * 1e-6;
}

ClockReading ReadClock(const std::filesystem::path& folder, const std::string& name) {
  ClockReading reading;
  if (const auto boot = ReadLines("/proc/sys/kernel/random/boot_id"); boot.ok() && !boot->empty())
    reading.boot_id = boot->front();
  reading.max_error_s = WallClockErrorS();
  for (int i = 0; i < kStamps; ++i) {
    const auto stamp = StampOf(folder / name);
    if (!stamp) break;
    const double half_s = static_cast<double>(stamp->after_ns - stamp->before_ns) * kNs / 2;
    const double error_s = half_s + CoarseStepS();
    if (reading.offset_error_s && *reading.offset_error_s <= error_s) continue;
    reading.offset_error_s = error_s;
    reading.offset_s = static_cast<double>(stamp->stamped_ns - stamp->before_ns) * kNs - half_s;
  }
  return reading;
}

}  // namespace moecap::hardware
