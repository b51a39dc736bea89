#include "hardware/probe/energy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/fs.h"

namespace moecap::hardware {
namespace fs = std::filesystem;
namespace {

constexpr double kJoulesPerMicrojoule = 1e-6;

std::optional<uint64_t> ReadCounter(const fs::path& path) {
  const auto text = ReadFile(path);
  if (!text) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::string ReadName(const fs::path& path) {
  const auto lines = ReadLines(path);
  return lines && !lines->empty() ? lines->front() : "";
}

// "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it; "intel-rapl-mmio:0" counts the same package a second time. Of the
// parts only memory lies outside the package's own counter.
bool Counts(const std::string& folder, const std::string& name) {
  if (!folder.starts_with("intel-rapl:")) return false;
  const bool part = std::count(folder.begin(), folder.end(), ':') == 2;
  return part ? name == "dram" : name.starts_with("package");
}

}  // namespace

Result<EnergyReader> EnergyReader::Open(const fs::path& root) {
  std::unique_ptr<GpuManager> gpus;
  if (root == "/") {
    // A machine without an NVIDIA driver is the usual case, no error.
    if (auto nvml = OpenNvml()) gpus = std::move(nvml).value();
  }
  return Open(root, std::move(gpus));
}

Result<EnergyReader> EnergyReader::Open(const fs::path& root, std::unique_ptr<GpuManager> gpus) {
  EnergyReader reader;
  reader.OpenGpus(std::move(gpus));
  if (const Status zones = reader.OpenZones(root); !zones && !reader.CountsGpus()) return zones.error();
  return reader;
}

Status EnergyReader::OpenZones(const fs::path& root) {
  std::string refused;
  std::vector<Zone> zones;
  std::error_code error;
  const fs::path powercap = root / "sys/class/powercap";
  for (fs::directory_iterator entry(powercap, error), end; !error && entry != end; entry.increment(error)) {
    Zone zone;
    zone.name = ReadName(entry->path() / "name");
    if (!Counts(entry->path().filename().string(), zone.name)) continue;
    zone.counter = entry->path() / "energy_uj";
    zone.range_uj = ReadCounter(entry->path() / "max_energy_range_uj").value_or(0);
    const auto now = ReadCounter(zone.counter);
    if (!now) {
      refused = zone.counter.string();
      continue;
    }
    zone.last_uj = *now;
    zone.is_memory = zone.name == "dram";
    zones.push_back(std::move(zone));
  }
  // Half of the counters would be taken for the whole machine.
  if (!refused.empty()) {
    return Failed(fmt::format("the energy counter {} cannot be read; run as root or allow it with 'chmod a+r'", refused));
  }
  if (zones.empty()) {
    return Failed(fmt::format("this machine shows no energy counters in {} (a virtual machine, or a kernel without intel_rapl)",
                              powercap.string()));
  }
  std::sort(zones.begin(), zones.end(), [](const Zone& a, const Zone& b) { return a.counter < b.counter; });
  zones_ = std::move(zones);
  return {};
}

void EnergyReader::OpenGpus(std::unique_ptr<GpuManager> gpus) {
  if (gpus == nullptr) return;
  const size_t count = gpus->Devices().size();
  for (size_t i = 0; i < count; ++i) gpu_start_j_.push_back(gpus->TotalJoules(i));
  const bool any = std::ranges::any_of(gpu_start_j_, [](const auto& joules) { return joules.has_value(); });
  if (any) gpus_ = std::move(gpus);
}

EnergyReading EnergyReader::SinceOpen() {
  EnergyReading reading;
  if (!zones_.empty() && UpdateZones()) {
    for (const Zone& zone : zones_) {
      std::optional<double>& part = zone.is_memory ? reading.dram_j : reading.cpu_j;
      part = part.value_or(0) + zone.total_uj * kJoulesPerMicrojoule;
    }
  }
  for (size_t i = 0; gpus_ != nullptr && i < gpu_start_j_.size(); ++i) reading.gpus_j.push_back(GpuJoules(i));
  return reading;
}

bool EnergyReader::UpdateZones() {
  for (Zone& zone : zones_) {
    const auto now = ReadCounter(zone.counter);
    if (!now || (*now < zone.last_uj && zone.range_uj == 0)) return false;
    const uint64_t delta = *now >= zone.last_uj ? *now - zone.last_uj : zone.range_uj - zone.last_uj + *now;
    zone.total_uj += static_cast<double>(delta);
    zone.last_uj = *now;
  }
  return true;
}

// Null too when a counter fell: the driver was loaded again.
std::optional<double> EnergyReader::GpuJoules(size_t index) const {
  const auto joules = gpus_->TotalJoules(index);
  if (!joules || !gpu_start_j_[index] || *joules < *gpu_start_j_[index]) return std::nullopt;
  return *joules - *gpu_start_j_[index];
}

std::string EnergyReader::Describe(const UsedDevices& used) const {
  std::vector<std::string> parts, zones, gpus;
  for (const Zone& zone : zones_) zones.push_back(zone.name);
  if (used.cpu && !zones.empty()) parts.push_back(fmt::format("RAPL: {}", fmt::join(zones, ", ")));
  for (const int gpu : used.gpus) {
    const bool counts = gpu >= 0 && static_cast<size_t>(gpu) < gpu_start_j_.size() && gpu_start_j_[static_cast<size_t>(gpu)];
    if (counts) gpus.push_back(fmt::format("GPU {}", gpu));
  }
  if (!gpus.empty()) parts.push_back(fmt::format("NVML: {}", fmt::join(gpus, ", ")));
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace moecap::hardware
