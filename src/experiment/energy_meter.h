// The energy that the machine's own counters see while a unit is timed.
#pragma once

#include <memory>
#include <string>

#include "hardware/energy_reading.h"

namespace moecap::experiment {

// Not thread-safe. Injected into an experiment; tests script one.
class EnergyMeter {
 public:
  virtual ~EnergyMeter() = default;

  // Starts a measurement.
  virtual void Begin() = 0;
  // What each device's counter saw since Begin. Cheap, and to be called every few minutes at least: counters wrap. The caller
  // chooses with hardware::EnergyOf the devices that its system uses.
  virtual hardware::EnergyReading SinceBegin() = 0;
  // The counters of the devices that were used: "RAPL: package-0, dram; NVML: GPU 0"; empty when none of them has one.
  virtual std::string Describe(const hardware::UsedDevices& used) const = 0;
};

// The counters of this machine; null when it has none or they may not be read, with the reason in `why_not`.
std::unique_ptr<EnergyMeter> OpenEnergyMeter(std::string& why_not);

}  // namespace moecap::experiment
