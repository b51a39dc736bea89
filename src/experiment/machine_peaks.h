// The machine under a system and its ceilings: as the configuration names it, or the GPUs that the driver names. GPUs that are
// here and were probed have the bandwidth that was measured, whoever named them.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "cost/machine.h"
#include "hardware/catalogue.h"
#include "hardware/host.h"
#include "hardware/machine.h"

namespace moecap::experiment {

// Of all devices of a machine together. Null = no source tells.
struct MachinePeaks {
  std::optional<double> bandwidth_bytes_per_s;
  std::optional<double> flops_per_s;  // dense, of operands of type `dtype`
  std::string dtype;                  // "bf16"; empty = not known
  std::string source;                 // "datasheet of 8 x h100-sxm"
};

// Of the accelerators, or of the processors where there are none; what several kinds reach together depends on how the work is
// spread, so a machine of several kinds has none. `compute_type`: in which the model's products run ("" = bf16); a device
// without such a rate widens the operands. Error: kBadInput for a device that the catalogue does not have.
Result<MachinePeaks> PeaksOf(const cost::MachineSpec& machine, const std::string& compute_type,
                             const hardware::Catalogue& catalogue);

// The machine that the GPUs of an engine in this process make, "h200-sxm" or "2 x h200-sxm". `gpus`: as SystemDevices has them,
// "CUDA0 (NVIDIA H200)"; `machine`: with its catalogue ids. Null: a GPU that the catalogue does not have, or several kinds.
std::optional<cost::MachineSpec> MachineOfGpus(std::span<const std::string> gpus, const hardware::MachineInfo& machine);

// Whether both are one node of as many accelerators of one kind, by the catalogue's ids.
bool SameAccelerators(const cost::MachineSpec& a, const cost::MachineSpec& b, const hardware::Catalogue& catalogue);

// In place of a datasheet's bandwidth what `moecap hardware probe` measured of these GPUs, where it measured all of them.
void TakeProbedBandwidth(std::span<const std::string> gpus, std::span<const hardware::GpuCeilings> probed, MachinePeaks& peaks);

}  // namespace moecap::experiment
