#include "hardware/probe/cgroup.h"

#include <fmt/format.h>

#include <sstream>
#include <string>
#include <vector>

#include "base/fs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

std::optional<std::string> FirstLine(const fs::path& path) {
  const auto lines = ReadLines(path);
  if (!lines || lines->empty()) return std::nullopt;
  return lines->front();
}

// Null for "max", for -1 and for anything that is not a number.
std::optional<double> FirstNumber(const fs::path& path) {
  const auto line = FirstLine(path);
  if (!line) return std::nullopt;
  double value = 0;
  std::istringstream stream(*line);
  if (!(stream >> value) || value < 0) return std::nullopt;
  return value;
}

void LowerTo(std::optional<double>& limit, std::optional<double> value) {
  if (value && (!limit || *value < *limit)) limit = value;
}

void LowerMemory(CgroupLimits& limits, std::optional<double> limit, std::optional<double> used) {
  if (!limit || (limits.memory_bytes && *limits.memory_bytes <= *limit)) return;
  limits.memory_bytes = limit;
  limits.memory_used_bytes = used;
}

void ReadVersion2(const fs::path& group, CgroupLimits& limits) {
  if (const auto line = FirstLine(group / "cpu.max")) {  // "QUOTA PERIOD" or "max PERIOD"
    double quota = 0;
    double period = 0;
    std::istringstream stream(*line);
    if (stream >> quota >> period && quota > 0 && period > 0) LowerTo(limits.cpus, quota / period);
  }
  LowerMemory(limits, FirstNumber(group / "memory.max"), FirstNumber(group / "memory.current"));
}

void ReadVersion1Cpu(const fs::path& group, CgroupLimits& limits) {
  const auto quota = FirstNumber(group / "cpu.cfs_quota_us");
  const auto period = FirstNumber(group / "cpu.cfs_period_us");
  if (quota && period && *quota > 0 && *period > 0) LowerTo(limits.cpus, *quota / *period);
}

void ReadVersion1Memory(const fs::path& group, CgroupLimits& limits) {
  LowerMemory(limits, FirstNumber(group / "memory.limit_in_bytes"), FirstNumber(group / "memory.usage_in_bytes"));
}

// The group and its parents up to the mount: inside a container the path often does not exist and the mount is the group.
std::vector<fs::path> GroupAndParents(const fs::path& mount, const fs::path& group) {
  std::vector<fs::path> folders = {mount};
  for (const fs::path& part : group.relative_path()) folders.push_back(folders.back() / part);
  return folders;
}

struct Group {
  std::string controllers;  // ",cpu,cpuacct,"; ",," is version 2
  fs::path path;            // in the mount of its controller
};

// Lines of /proc/self/cgroup: "ID:CONTROLLERS:PATH".
std::vector<Group> GroupsOfSelf(const fs::path& root) {
  std::vector<Group> groups;
  const auto lines = ReadLines(root / "proc/self/cgroup");
  if (!lines) return groups;
  for (const std::string& line : *lines) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    groups.push_back({fmt::format(",{},", line.substr(first + 1, second - first - 1)), line.substr(second + 1)});
  }
  return groups;
}

// "throttled_usec 1234" of a cpu.stat; null when the key is not there.
std::optional<double> StatValue(const fs::path& file, std::string_view key) {
  const auto lines = ReadLines(file);
  if (!lines) return std::nullopt;
  for (const std::string& line : *lines) {
    std::istringstream stream(line);
    std::string name;
    double value = 0;
    if (stream >> name >> value && name == key) return value;
  }
  return std::nullopt;
}

void RaiseTo(std::optional<double>& most, std::optional<double> value) {
  if (value && (!most || *value > *most)) most = value;
}

}  // namespace

CgroupLimits ReadCgroupLimits(const fs::path& root) {
  CgroupLimits limits;
  const fs::path mounts = root / "sys/fs/cgroup";
  for (const auto& [controllers, path] : GroupsOfSelf(root)) {
    if (controllers == ",,") {
      for (const fs::path& folder : GroupAndParents(mounts, path)) ReadVersion2(folder, limits);
    }
    if (controllers == ",," || controllers.find(",pids,") != std::string::npos) {
      const fs::path mount = controllers == ",," ? mounts : mounts / "pids";
      for (const fs::path& folder : GroupAndParents(mount, path)) LowerTo(limits.tasks, FirstNumber(folder / "pids.max"));
    }
    if (controllers.find(",cpu,") != std::string::npos) {
      for (const fs::path& folder : GroupAndParents(mounts / "cpu", path)) ReadVersion1Cpu(folder, limits);
    }
    if (controllers.find(",memory,") != std::string::npos) {
      for (const fs::path& folder : GroupAndParents(mounts / "memory", path)) ReadVersion1Memory(folder, limits);
    }
  }
  return limits;
}

std::optional<double> ReadThrottledSeconds(const fs::path& root) {
  std::optional<double> most;  // whichever group on the way up stopped us longest
  const fs::path mounts = root / "sys/fs/cgroup";
  for (const auto& [controllers, path] : GroupsOfSelf(root)) {
    const auto raise = [&most](std::optional<double> value, double unit_s) {
      if (value) RaiseTo(most, *value * unit_s);
    };
    if (controllers == ",,") {
      for (const fs::path& folder : GroupAndParents(mounts, path))
        raise(StatValue(folder / "cpu.stat", "throttled_usec"), 1e-6);
    }
    if (controllers.find(",cpu,") != std::string::npos) {
      for (const fs::path& folder : GroupAndParents(mounts / "cpu", path))
        raise(StatValue(folder / "cpu.stat", "throttled_time"), 1e-9);
    }
  }
  return most;
}

}  // namespace moecap::hardware
