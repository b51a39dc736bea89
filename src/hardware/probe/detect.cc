#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <sstream>

#include "base/fs.h"
#include "hardware/probe/cgroup.h"
#include "hardware/probe/cpuid_caches.h"
#include "hardware/probe/probe.h"
#include "hardware/probe/sysfs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

// The flags that decide which kernel an engine runs; everything else in the list would only be noise.
constexpr std::array<std::string_view, 26> kRelevantFlags = {
    "sse4_2",      "avx",         "f16c",       "fma",         "avx2",     "avx_vnni", "avx512f",  "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512vbmi", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "amx_fp16", "asimd",
    "asimddp",     "i8mm",        "bf16",       "sve",         "sve2",     "sme",      "v",        "neon"};

std::string Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1));
}

int ToInt(std::string_view text, int fallback) {
  int value = fallback;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::optional<int> ToNumber(std::string_view text) {
  const int value = ToInt(text, -1);
  return value >= 0 ? std::optional(value) : std::nullopt;
}

// "0-3,8,10-11" -> {0, 1, 2, 3, 8, 10, 11}. Bounded, so that a damaged file cannot fill the memory.
std::vector<int> ParseCpuList(const std::string& text) {
  std::vector<int> cpus;
  std::stringstream stream(text);
  for (std::string range; std::getline(stream, range, ',');) {
    const size_t dash = range.find('-');
    const int first = ToInt(range, -1);
    const int last = dash == std::string::npos ? first : ToInt(std::string_view(range).substr(dash + 1), -1);
    for (int cpu = first; cpu >= 0 && cpu <= last && cpus.size() < 65536; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

// "32768K" -> 33554432.
double ParseCacheSize(const std::string& text) {
  const double unit = text.ends_with('K') ? 1024 : text.ends_with('M') ? 1024.0 * 1024 : 1;
  return unit * ToInt(text, 0);
}

// The first entry of /proc/cpuinfo; key -> value.
std::map<std::string, std::string> ReadCpuInfo(const fs::path& root) {
  std::map<std::string, std::string> info;
  const auto lines = ReadLines(root / "proc/cpuinfo");
  if (!lines) return info;
  for (const std::string& line : *lines) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) {
      if (!info.empty()) break;
      continue;
    }
    info.emplace(Trim(std::string_view(line).substr(0, colon)), Trim(std::string_view(line).substr(colon + 1)));
  }
  return info;
}

void ReadIsa(const std::map<std::string, std::string>& info, HostInfo& host) {
  std::string text;
  for (const char* key : {"flags", "Features"}) {
    if (const auto found = info.find(key); found != info.end()) text = found->second;
  }
  std::set<std::string> flags;
  std::stringstream stream(text);
  for (std::string flag; stream >> flag;) flags.insert(flag);
  for (const std::string_view flag : kRelevantFlags) {
    if (flags.contains(std::string(flag))) host.isa.emplace_back(flag);
  }
  if (flags.contains("hypervisor")) host.hypervisor = "unknown";
}

void ReadCpu(const fs::path& root, HostInfo& host) {
  const auto info = ReadCpuInfo(root);
  const auto get = [&](const char* key) {
    const auto found = info.find(key);
    return found == info.end() ? std::string() : found->second;
  };
  host.cpu_vendor = get("vendor_id");
  host.cpu_model = get("model name");
  if (host.cpu_vendor.empty()) host.cpu_vendor = get("CPU implementer");
  if (host.cpu_model.empty()) host.cpu_model = get("CPU part");
  host.cpu_family = ToNumber(get("cpu family"));
  host.cpu_model_number = ToNumber(get("model"));
  ReadIsa(info, host);
}

void ReadTopology(const fs::path& root, HostInfo& host) {
  const fs::path cpus = root / "sys/devices/system/cpu";
  const std::vector<int> online = ParseCpuList(ReadWord(cpus / "online"));
  std::set<std::string> cores;
  std::set<std::string> packages;
  for (const int cpu : online) {
    const fs::path topology = cpus / fmt::format("cpu{}/topology", cpu);
    const std::string package = ReadWord(topology / "physical_package_id");
    const std::string siblings = ReadWord(topology / "thread_siblings_list");
    if (!package.empty()) packages.insert(package);
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  host.logical_cpus = std::max(1, static_cast<int>(online.empty() ? host.allowed_cpus.size() : online.size()));
  host.physical_cores = cores.empty() ? host.logical_cpus : static_cast<int>(cores.size());
  host.sockets = std::max(1, static_cast<int>(packages.size()));
  host.numa_nodes = std::max(1, static_cast<int>(ParseCpuList(ReadWord(root / "sys/devices/system/node/online")).size()));
}

// The number behind `key` at the beginning of a line; null where there is none.
std::optional<double> NumberBehind(const fs::path& file, std::string_view key) {
  const auto lines = ReadLines(file);
  if (!lines) return std::nullopt;
  for (const std::string& line : *lines) {
    double number = 0;
    if (line.starts_with(key) && std::stringstream(line.substr(key.size())) >> number) return number;
  }
  return std::nullopt;
}

// What this process may still map below its limit of address space (RLIMIT_AS); null = no limit, or not told.
std::optional<double> AddressSpaceLeft(const fs::path& root) {
  const auto limit = NumberBehind(root / "proc/self/limits", "Max address space");
  const auto used_kib = NumberBehind(root / "proc/self/status", "VmSize:");
  if (!limit || !used_kib) return std::nullopt;
  return std::max(0.0, *limit - *used_kib * 1024);
}

void ReadMemory(const fs::path& root, HostInfo& host) {
  const auto lines = ReadLines(root / "proc/meminfo");
  if (lines) {
    for (const std::string& line : *lines) {
      std::stringstream stream(line);
      std::string key;
      double kib = 0;
      stream >> key >> kib;
      if (key == "MemTotal:") host.dram_bytes = kib * 1024;
      if (key == "MemAvailable:") host.available_bytes = kib * 1024;
    }
  }
  const CgroupLimits limits = ReadCgroupLimits(root);
  host.cpu_quota = limits.cpus;
  // Version 1 writes a huge number for "no limit".
  if (limits.memory_bytes && (!host.dram_bytes || *limits.memory_bytes < *host.dram_bytes))
    host.memory_limit_bytes = limits.memory_bytes;
  if (host.memory_limit_bytes) {
    const double left = std::max(0.0, *host.memory_limit_bytes - limits.memory_used_bytes.value_or(0));
    host.available_bytes = std::min(host.available_bytes.value_or(left), left);
  }
  if (const auto left = AddressSpaceLeft(root)) host.available_bytes = std::min(host.available_bytes.value_or(*left), *left);
}

void ReadVirtualization(const fs::path& root, HostInfo& host) {
  std::error_code ignored;
  const std::string product = ReadWord(root / "sys/class/dmi/id/product_name");
  const std::string maker = ReadWord(root / "sys/class/dmi/id/sys_vendor");
  const std::string clock_source = ReadWord(root / "sys/devices/system/clocksource/clocksource0/available_clocksource");
  if (!host.hypervisor.empty()) {
    if (clock_source.find("kvm-clock") != std::string::npos || product.find("KVM") != std::string::npos)
      host.hypervisor = "kvm";
    if (clock_source.find("hyperv") != std::string::npos || maker.starts_with("Microsoft")) host.hypervisor = "microsoft";
    if (maker.starts_with("VMware")) host.hypervisor = "vmware";
    if (const std::string type = ReadWord(root / "sys/hypervisor/type"); !type.empty()) host.hypervisor = type;
  }
  if (fs::exists(root / ".dockerenv", ignored)) host.container = "docker";
  if (fs::exists(root / "run/.containerenv", ignored)) host.container = "podman";
  if (fs::exists(root / "run/secrets/kubernetes.io", ignored)) host.container = "kubernetes";
  const std::string cgroup = ReadWord(root / "proc/1/cgroup");
  if (host.container.empty() && cgroup.find("lxc") != std::string::npos) host.container = "lxc";
}

}  // namespace

std::vector<int> AffinityMask() {
  // Machines with more CPUs than cpu_set_t holds (1024) need a larger mask.
  for (int capacity = 1024; capacity <= 65536; capacity *= 2) {
    const size_t bytes = CPU_ALLOC_SIZE(capacity);
    cpu_set_t* mask = CPU_ALLOC(capacity);
    CHECK(mask != nullptr);
    std::vector<int> cpus;
    const bool read = ::sched_getaffinity(0, bytes, mask) == 0;
    for (int cpu = 0; read && cpu < capacity; ++cpu) {
      if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, mask)) cpus.push_back(cpu);
    }
    CPU_FREE(mask);
    if (!cpus.empty()) return cpus;
  }
  return {0};
}

std::vector<CacheLevel> ReadCacheLevels(const fs::path& root, const std::vector<int>& allowed_cpus) {
  std::map<std::pair<int, std::string>, double> caches;  // (level, CPUs that share it) -> bytes
  for (const int cpu : allowed_cpus) {
    for (int index = 0; index < 8; ++index) {
      const fs::path cache = root / fmt::format("sys/devices/system/cpu/cpu{}/cache/index{}", cpu, index);
      const int level = ToInt(ReadWord(cache / "level"), 0);
      if (level <= 0) break;
      if (ReadWord(cache / "type") == "Instruction") continue;
      std::string shared = ReadWord(cache / "shared_cpu_list");
      if (shared.empty()) shared = std::to_string(cpu);
      caches[{level, shared}] = ParseCacheSize(ReadWord(cache / "size"));
    }
  }
  std::vector<CacheLevel> levels;
  for (const auto& [key, bytes] : caches) {
    if (levels.empty() || levels.back().level != key.first) levels.push_back({key.first, 0});
    levels.back().bytes += bytes;
  }
  return levels;
}

HostInfo DetectHostAt(const fs::path& root, const std::vector<int>& allowed_cpus) {
  HostInfo host;
  host.allowed_cpus = allowed_cpus.empty() ? std::vector<int>{0} : allowed_cpus;
  ReadCpu(root, host);
  ReadTopology(root, host);
  if (const auto caches = ReadCacheLevels(root, host.allowed_cpus); !caches.empty()) {
    host.last_level_cache_bytes = caches.back().bytes;
  }
  ReadMemory(root, host);
  ReadVirtualization(root, host);
  host.kernel = "Linux " + ReadWord(root / "proc/sys/kernel/osrelease");
  return host;
}

HostInfo DetectHost() {
  HostInfo host = DetectHostAt("/", AffinityMask());
  // Virtual machines often show no cache folders, though the processor itself tells.
  if (!host.last_level_cache_bytes) host.last_level_cache_bytes = LastLevelCacheOfProcessor(host.allowed_cpus.size());
  if (utsname name{}; ::uname(&name) == 0) {
    host.architecture = name.machine;
    host.kernel = fmt::format("{} {}", name.sysname, name.release);
  }
  return host;
}

}  // namespace moecap::hardware
