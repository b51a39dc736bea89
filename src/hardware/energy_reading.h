// What the energy counters of a machine saw in one span of time, device by device, and the part of it that a system used.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap::hardware {

// Joules; null = that device has no counter here, or it could not be read. Fans, drives, power supply and accelerators of other
// makers are in none of them.
struct EnergyReading {
  std::optional<double> cpu_j;                // all processor packages
  std::optional<double> dram_j;               // their memory, where the machine counts it apart from the packages
  std::vector<std::optional<double>> gpus_j;  // NVIDIA GPUs with their memory, in the driver's order
};

// The devices that a system computes on. A GPU's host processor works too.
struct UsedDevices {
  bool cpu = true;
  std::vector<int> gpus;  // indices of EnergyReading::gpus_j
};

// The energy of the devices that were used; what idles beside them is not charged.
struct CountedEnergy {
  std::optional<double> joules;  // of `counted`; null when nothing that was used has a counter
  std::optional<double> gpus_j;  // of the GPUs among it; null when none was used, or one of them has no counter
  std::string counted;           // "processor, memory, GPU 0"; empty without
  // Used devices without a counter: "processor". Not empty: `joules` is a part of the whole, and the whole an estimate at best.
  // A machine that counts its memory nowhere says so in no figure: it is then part of what a nameplate estimates.
  std::string missing;

  bool complete() const { return joules.has_value() && missing.empty(); }
};
CountedEnergy EnergyOf(const EnergyReading& reading, const UsedDevices& used);

// Device by device; null where one side is.
EnergyReading Difference(const EnergyReading& begin, const EnergyReading& end);

Json ToJson(const EnergyReading& reading);
// Error: kBadInput naming the wrong key.
Result<EnergyReading> EnergyReadingFromJson(const Json& json);

}  // namespace moecap::hardware
