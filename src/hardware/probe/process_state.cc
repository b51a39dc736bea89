#include "hardware/probe/process_state.h"

#include <sys/resource.h>

#include <algorithm>

#include "hardware/probe/cgroup.h"
#include "hardware/probe/sysfs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

std::optional<double> HardLimit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return std::nullopt;
  return static_cast<double>(limit.rlim_max);
}

std::optional<double> LowerOf(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

ClockState ReadClockState(const Clock& clock, const fs::path& root) {
  ClockState state;
  state.source = ReadWord(root / "sys/devices/system/clocksource/clocksource0/current_clocksource");
  state.governor = ReadWord(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  constexpr int kReadings = 10'000;
  const int64_t begin_ns = clock.NowNs();
  int64_t end_ns = begin_ns;
  for (int i = 0; i < kReadings; ++i) end_ns = clock.NowNs();
  state.read_s = static_cast<double>(end_ns - begin_ns) * 1e-9 / kReadings;
  return state;
}

ProcessLimits ReadProcessLimits(const fs::path& root) {
  ProcessLimits limits;
  limits.open_files = HardLimit(RLIMIT_NOFILE);
  limits.threads = LowerOf(HardLimit(RLIMIT_NPROC), ReadNumber(root / "proc/sys/kernel/threads-max"));
  limits.threads = LowerOf(limits.threads, ReadCgroupLimits(root).tasks);
  limits.locked_memory_bytes = HardLimit(RLIMIT_MEMLOCK);
  return limits;
}

}  // namespace moecap::hardware
