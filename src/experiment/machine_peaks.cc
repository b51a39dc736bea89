#include "experiment/machine_peaks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace moecap::experiment {
namespace {

// Wider types, in the order in which a device without a rate for the narrower one falls back to them.
constexpr std::array<std::string_view, 5> kWider = {"fp4", "fp8", "bf16", "tf32", "fp32"};

void SetFlops(const hardware::Device& device, std::string_view wanted, double count, MachinePeaks& peaks) {
  bool reached = false;
  for (const std::string_view dtype : kWider) {
    reached = reached || dtype == wanted;
    const auto flops = reached ? hardware::DensePeak(device, dtype) : std::nullopt;
    if (!flops) continue;
    peaks.flops_per_s = *flops * count;
    peaks.dtype = dtype;
    return;
  }
  // Not one of a row: int8, fp16.
  if (const auto flops = hardware::DensePeak(device, wanted); flops && !reached) {
    peaks.flops_per_s = *flops * count;
    peaks.dtype = wanted;
  }
}

// "NVIDIA H200" of "CUDA0 (NVIDIA H200)".
std::string_view NameOf(std::string_view gpu) {
  const size_t begin = gpu.find('('), end = gpu.rfind(')');
  return begin < end && end != std::string_view::npos ? gpu.substr(begin + 1, end - begin - 1) : gpu;
}

}  // namespace

Result<MachinePeaks> PeaksOf(const cost::MachineSpec& machine, const std::string& compute_type,
                             const hardware::Catalogue& catalogue) {
  const std::vector<cost::MachinePart>& parts = machine.accelerators.empty() ? machine.processors : machine.accelerators;
  MachinePeaks peaks;
  if (parts.size() != 1) return peaks;
  ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(parts.front().id));
  const double count = static_cast<double>(parts.front().count) * static_cast<double>(machine.nodes);
  if (device.bandwidth_bytes_per_s) peaks.bandwidth_bytes_per_s = *device.bandwidth_bytes_per_s * count;
  SetFlops(device, compute_type.empty() ? "bf16" : std::string_view(compute_type), count, peaks);
  peaks.source = count > 1 ? fmt::format("datasheet of {:.0f} x {}", count, device.id) : "datasheet of " + device.id;
  return peaks;
}

std::optional<cost::MachineSpec> MachineOfGpus(std::span<const std::string> gpus, const hardware::MachineInfo& machine) {
  std::string id;
  for (const std::string& gpu : gpus) {
    const auto found = std::ranges::find(machine.accelerators, NameOf(gpu), &hardware::Accelerator::name);
    if (found == machine.accelerators.end() || found->catalogue_id.empty()) return std::nullopt;
    if (!id.empty() && id != found->catalogue_id) return std::nullopt;
    id = found->catalogue_id;
  }
  if (id.empty()) return std::nullopt;
  cost::MachineSpec spec;
  spec.name = gpus.size() == 1 ? id : fmt::format("{} x {}", gpus.size(), id);
  spec.accelerators.push_back({id, static_cast<int64_t>(gpus.size())});
  return spec;
}

bool SameAccelerators(const cost::MachineSpec& a, const cost::MachineSpec& b, const hardware::Catalogue& catalogue) {
  if (a.nodes != 1 || b.nodes != 1 || a.accelerators.size() != 1 || b.accelerators.size() != 1) return false;
  const cost::MachinePart &first = a.accelerators.front(), &second = b.accelerators.front();
  if (first.count != second.count) return false;
  const auto device = catalogue.FindDevice(first.id), other = catalogue.FindDevice(second.id);
  return device.ok() && other.ok() && device->id == other->id;
}

void TakeProbedBandwidth(std::span<const std::string> gpus, std::span<const hardware::GpuCeilings> probed,
                         MachinePeaks& peaks) {
  double sum = 0;
  std::string measured_at;
  for (const std::string& gpu : gpus) {
    const auto found = std::ranges::find(probed, NameOf(gpu), &hardware::GpuCeilings::name);
    if (found == probed.end() || !found->read_bytes_per_s) return;
    sum += found->read_bytes_per_s->best;
    measured_at = found->measured_at;
  }
  if (gpus.empty()) return;
  peaks.bandwidth_bytes_per_s = sum;
  peaks.source = fmt::format("bandwidth measured {} by moecap hardware probe, FLOPs of the {}", measured_at, peaks.source);
}

}  // namespace moecap::experiment
