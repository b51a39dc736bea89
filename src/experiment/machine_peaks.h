// The ceilings of the machine that a configuration names, from the device catalogue.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cost/machine.h"
#include "hardware/catalogue.h"

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

}  // namespace moecap::experiment
