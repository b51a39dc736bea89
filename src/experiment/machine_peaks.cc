#include "experiment/machine_peaks.h"

#include <fmt/format.h>

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

}  // namespace moecap::experiment
