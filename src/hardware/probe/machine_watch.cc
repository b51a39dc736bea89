#include "hardware/probe/machine_watch.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "base/fs.h"
#include "hardware/probe/cgroup.h"
#include "hardware/probe/sysfs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

// Tests of a folder from another machine must not depend on this one's: Linux has used 100 on every architecture for 20 years.
constexpr double kTicksPerS = 100;

struct CpuTimes {
  double busy_s = 0, steal_s = 0;
};

// Null unless the file tells of every allowed CPU. Guests' time is part of user time there.
std::optional<CpuTimes> ReadCpuTimes(const fs::path& root, const std::vector<int>& allowed_cpus) {
  const auto lines = ReadLines(root / "proc/stat");
  if (!lines) return std::nullopt;
  std::set<std::string> wanted;
  for (const int cpu : allowed_cpus) wanted.insert(fmt::format("cpu{}", cpu));
  CpuTimes times;
  size_t found = 0;
  for (const std::string& line : *lines) {
    std::istringstream stream(line);
    std::string name;
    double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
    if (!(stream >> name) || !wanted.contains(name)) continue;
    if (!(stream >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal)) return std::nullopt;
    times.busy_s += (user + nice + system + irq + softirq) / kTicksPerS;
    times.steal_s += steal / kTicksPerS;
    ++found;
  }
  return found == wanted.size() ? std::optional(times) : std::nullopt;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=399615506", in microseconds.
std::optional<double> ReadPressure(const fs::path& root) {
  const std::string line = ReadWord(root / "proc/pressure/cpu");
  const size_t total = line.find("total=");
  if (!line.starts_with("some ") || total == std::string::npos) return std::nullopt;
  double microseconds = 0;
  std::istringstream stream(line.substr(total + 6));
  return stream >> microseconds ? std::optional(microseconds * 1e-6) : std::nullopt;
}

std::optional<double> Difference(std::optional<double> begin, std::optional<double> end) {
  if (!begin || !end || *end < *begin) return std::nullopt;
  return *end - *begin;
}

// A file that counts nothing while we ourselves were busy tells nothing (sandboxes that show an empty /proc/stat).
constexpr double kLeastSeenOfOwn = 0.5;
constexpr double kOwnWorthJudgingS = 0.2;

}  // namespace

OwnUse ReadOwnUse() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_nivcsw};
}

MachineWatch MachineWatch::Begin(const Clock& clock, MachineSources sources) {
  if (sources.allowed_cpus.empty()) sources.allowed_cpus = AffinityMask();
  MachineWatch watch(clock, std::move(sources));
  watch.begin_ = watch.Read();
  return watch;
}

MachineWatch::Counters MachineWatch::Read() const {
  Counters counters;
  counters.at_ns = clock_->NowNs();
  counters.own = sources_.own();
  if (const auto times = ReadCpuTimes(sources_.root, sources_.allowed_cpus)) {
    counters.busy_s = times->busy_s;
    counters.steal_s = times->steal_s;
  }
  counters.pressure_s = ReadPressure(sources_.root);
  counters.throttled_s = ReadThrottledSeconds(sources_.root);
  return counters;
}

MachineUse MachineWatch::End() const {
  const Counters end = Read();
  MachineUse use;
  use.wall_s = static_cast<double>(end.at_ns - begin_.at_ns) * 1e-9;
  use.allowed_cpus = static_cast<int>(sources_.allowed_cpus.size());
  use.cpu_s = end.own.cpu_s - begin_.own.cpu_s;
  use.involuntary_switches = end.own.involuntary_switches - begin_.own.involuntary_switches;
  const auto busy_s = Difference(begin_.busy_s, end.busy_s);
  const bool blind = busy_s && use.cpu_s > kOwnWorthJudgingS && *busy_s < kLeastSeenOfOwn * use.cpu_s;
  if (busy_s && !blind) {
    use.others_cpu_s = std::max(0.0, *busy_s - use.cpu_s);
    use.steal_s = Difference(begin_.steal_s, end.steal_s);
  }
  use.pressure_s = Difference(begin_.pressure_s, end.pressure_s);
  use.throttled_s = Difference(begin_.throttled_s, end.throttled_s);
  return use;
}

MachineUse ObserveMachine(const Clock& clock, double window_s, MachineSources sources) {
  const MachineWatch watch = MachineWatch::Begin(clock, std::move(sources));
  std::this_thread::sleep_for(std::chrono::duration<double>(window_s));
  return watch.End();
}

std::optional<std::string> BusyMachineNow(const Clock& clock) { return BusyWords(ObserveMachine(clock)); }

}  // namespace moecap::hardware
