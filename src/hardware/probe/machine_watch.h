// What the machine of a measurement did besides us, from counters that cost a few reads at each end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "hardware/machine_use.h"

namespace moecap::hardware {

// CPU time of this process, all threads together, and how often the kernel took a CPU from one of them, since it started.
struct OwnUse {
  double cpu_s = 0;
  int64_t involuntary_switches = 0;
};
OwnUse ReadOwnUse();

// Where the figures come from. Tests give a folder with files of another machine.
struct MachineSources {
  std::filesystem::path root = "/";  // of /proc and /sys
  std::vector<int> allowed_cpus;     // empty = the affinity of the calling thread
  std::function<OwnUse()> own = ReadOwnUse;
};

// Not thread-safe. What the system does not tell at both ends, or what went back in between (a CPU that was switched off), is
// null.
class MachineWatch {
 public:
  // Starts to watch. `clock` must outlive the watch.
  static MachineWatch Begin(const Clock& clock, MachineSources sources = {});
  // What happened since; may be asked again.
  MachineUse End() const;

 private:
  // Counters since the machine started.
  struct Counters {
    int64_t at_ns = 0;
    OwnUse own;
    std::optional<double> busy_s, steal_s;  // of the allowed CPUs
    std::optional<double> pressure_s;
    std::optional<double> throttled_s;
  };

  MachineWatch(const Clock& clock, MachineSources sources) : clock_(&clock), sources_(std::move(sources)) {}
  Counters Read() const;

  const Clock* clock_;
  MachineSources sources_;
  Counters begin_;
};

// Watches for `window_s` seconds, in which the calling thread sleeps.
MachineUse ObserveMachine(const Clock& clock, double window_s = 0.5, MachineSources sources = {});

// A warning to give before measuring, from half a second of watching; null when the machine is quiet or does not tell.
std::optional<std::string> BusyMachineNow(const Clock& clock);

}  // namespace moecap::hardware
