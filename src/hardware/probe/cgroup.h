// Limits that Linux control groups (version 1 and 2) put on this process. Internal to hardware/probe.
#pragma once

#include <filesystem>
#include <optional>

namespace moecap::hardware {

// Null = no limit, or not told.
struct CgroupLimits {
  std::optional<double> cpus;               // CPU time per time
  std::optional<double> memory_bytes;       // the tightest limit on the way to the root
  std::optional<double> memory_used_bytes;  // of the group with that limit
  std::optional<double> tasks;              // processes and threads, the tightest limit on the way to the root
};

// Reads `root`/proc/self/cgroup and the group files under `root`/sys/fs/cgroup, the process's own group and its parents.
CgroupLimits ReadCgroupLimits(const std::filesystem::path& root);

// Seconds that this process's group was stopped for lack of quota since it was made; null where no group with a quota tells.
std::optional<double> ReadThrottledSeconds(const std::filesystem::path& root);

}  // namespace moecap::hardware
