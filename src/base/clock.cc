#include "base/clock.h"

#include <array>
#include <chrono>
#include <ctime>

namespace moecap {
namespace {

std::string FormatWallTime(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), format, &utc);
  return {text.data(), size};
}

}  // namespace

int64_t SteadyClock::NowNs() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int64_t ThreadCpuNs() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string WallTimeIso8601() { return FormatWallTime("%Y-%m-%dT%H:%M:%SZ"); }
std::string WallTimeCompact() { return FormatWallTime("%Y%m%d-%H%M%S"); }

}  // namespace moecap
