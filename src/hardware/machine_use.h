// What a machine did while something was measured on it: a value with its JSON form. hardware/probe/machine_watch.h reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace moecap::hardware {

// Over one span of time. Null = the system does not tell, never 0. A container usually sees the whole machine's counters; one
// that is given counters of its own (lxcfs) does not see what its neighbours do, and nothing here can show that.
struct MachineUse {
  double wall_s = 0;
  int allowed_cpus = 1;  // CPUs that this process may use
  double cpu_s = 0;      // of this process, all its threads, user and system
  // Times that the kernel took a CPU from one of our threads which wanted to go on.
  std::optional<int64_t> involuntary_switches;
  std::optional<double> others_cpu_s;  // busy time of the allowed CPUs that was not ours, interrupts included; at least 0
  std::optional<double> steal_s;       // of the allowed CPUs: time that the hypervisor gave to other guests
  std::optional<double> pressure_s;    // time in which at least one task of the machine waited for a CPU (PSI, "some")
  std::optional<double> throttled_s;   // time that our control group was stopped because its quota was used up; threads summed

  // Of the CPU time of the allowed CPUs, 0..1; null where not told or without time.
  std::optional<double> OthersShare() const { return ShareOf(others_cpu_s, allowed_cpus); }
  std::optional<double> StealShare() const { return ShareOf(steal_s, allowed_cpus); }
  // Of the time, 0..1.
  std::optional<double> PressureShare() const { return ShareOf(pressure_s, 1); }
  std::optional<double> SwitchesPerS() const;
  // CPUs' worth of time that were left for this process: allowed, less what others and the hypervisor took. Null where others'
  // use is not told.
  std::optional<double> FreeCpus() const;

 private:
  std::optional<double> ShareOf(std::optional<double> seconds, double lanes) const;
};

// More than this share of the CPU time in others' hands makes a machine busy.
inline constexpr double kBusyShare = 0.05;

// One sentence for the user before a measurement; null when the machine is quiet or does not tell.
std::optional<std::string> BusyWords(const MachineUse& use);

// How many of `usable` threads that wait for each other by spinning should compute on a machine that was used so: as many as
// CPUs were free (a quarter of a CPU in others' hands does not take one away), at least 1. A thread more than CPUs are free
// stops all others at every barrier until the kernel lets it run: two threads beside a busy loop on each of two CPUs took 4 to
// 9 times their quiet time, one thread 2 times. All of them where others' use is not told.
int ThreadsForFreeCpus(int usable, const MachineUse& use);

Json ToJson(const MachineUse& use);
// Error: kBadInput naming the missing or wrong key.
Result<MachineUse> MachineUseFromJson(const Json& json);

}  // namespace moecap::hardware
