// The energy that the machine's own counters see while a unit is timed.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace moecap::experiment {

// Not thread-safe. Injected into an experiment; tests script one.
class EnergyMeter {
 public:
  virtual ~EnergyMeter() = default;

  // Starts a measurement.
  virtual void Begin() = 0;
  // Joules since Begin, of the chips that the counters cover; null when they cannot be read. Cheap, and to be called every few
  // minutes at least: counters wrap.
  virtual std::optional<double> JoulesSinceBegin() = 0;
  // What is counted: "RAPL: package-0, dram".
  virtual std::string Describe() const = 0;
};

// The counters of this machine; null when it has none or they may not be read, with the reason in `why_not`.
std::unique_ptr<EnergyMeter> OpenEnergyMeter(std::string& why_not);

}  // namespace moecap::experiment
