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
  for (size_t i = 0; i < count; ++i) {
    const auto joules = gpus->TotalJoules(i);
    // As with packages: some of the GPUs would be taken for all.
    if (!joules) return gpu_start_j_.clear();
    gpu_start_j_.push_back(*joules);
  }
  if (count > 0) gpus_ = std::move(gpus);
}

Energy EnergyReader::SinceOpen() { return {ProcessorJoules(), GpuJoules()}; }

std::optional<double> EnergyReader::JoulesSinceOpen() {
  const Energy energy = SinceOpen();
  if ((CountsProcessor() && !energy.processor_j) || (CountsGpus() && !energy.gpu_j)) return std::nullopt;
  return energy.processor_j.value_or(0) + energy.gpu_j.value_or(0);
}

std::optional<double> EnergyReader::ProcessorJoules() {
  if (zones_.empty()) return std::nullopt;
  double added_uj = 0;
  std::vector<uint64_t> counters;
  for (const Zone& zone : zones_) {
    const auto now = ReadCounter(zone.counter);
    if (!now || (*now < zone.last_uj && zone.range_uj == 0)) return std::nullopt;
    const uint64_t delta = *now >= zone.last_uj ? *now - zone.last_uj : zone.range_uj - zone.last_uj + *now;
    added_uj += static_cast<double>(delta);
    counters.push_back(*now);
  }
  for (size_t i = 0; i < zones_.size(); ++i) zones_[i].last_uj = counters[i];
  processor_j_ += added_uj * kJoulesPerMicrojoule;
  return processor_j_;
}

// Null too when a counter fell: the driver was loaded again.
std::optional<double> EnergyReader::GpuJoules() const {
  if (gpus_ == nullptr) return std::nullopt;
  double total_j = 0;
  for (size_t i = 0; i < gpu_start_j_.size(); ++i) {
    const auto joules = gpus_->TotalJoules(i);
    if (!joules || *joules < gpu_start_j_[i]) return std::nullopt;
    total_j += *joules - gpu_start_j_[i];
  }
  return total_j;
}

std::string EnergyReader::Describe() const {
  std::vector<std::string> parts;
  std::vector<std::string_view> names;
  for (const Zone& zone : zones_) names.push_back(zone.name);
  if (!names.empty()) parts.push_back(fmt::format("RAPL: {}", fmt::join(names, ", ")));
  if (CountsGpus()) parts.push_back(fmt::format("NVML: {} GPU{}", gpu_start_j_.size(), gpu_start_j_.size() == 1 ? "" : "s"));
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace moecap::hardware
