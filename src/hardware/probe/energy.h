// Energy counters: the processor's by Linux powercap ("RAPL", on Intel and AMD), NVIDIA GPUs' by NVML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/energy_reading.h"
#include "hardware/probe/nvml.h"

namespace moecap::hardware {

// Counters of energy, never of power: an average of power readings, which a GPU renews every 100 ms or more rarely, is wrong
// for spans of seconds. Not thread-safe.
class EnergyReader {
 public:
  // The processor's counters under `root` and, when `root` is this machine, those of its NVIDIA GPUs.
  // Errors: kFailed when the machine has no counter at all (most virtual machines without a GPU) or none may be read (root only
  // by default), with what to do; the caller then estimates from nameplates.
  static Result<EnergyReader> Open(const std::filesystem::path& root = "/");

  // The same with the given GPUs; null = none.
  static Result<EnergyReader> Open(const std::filesystem::path& root, std::unique_ptr<GpuManager> gpus);

  // Joules since Open. The processor's counters wrap (at 262 kJ on many machines: after 17 minutes at 250 W); a wrap is seen
  // when this is called at least once in that time. The GPUs' do not.
  EnergyReading SinceOpen();

  bool CountsProcessor() const { return !zones_.empty(); }
  bool CountsGpus() const { return gpus_ != nullptr; }

  // The counters of the devices that were used: "RAPL: package-0, dram; NVML: GPU 0, GPU 3".
  std::string Describe(const UsedDevices& used) const;

 private:
  struct Zone {
    std::string name;
    std::filesystem::path counter;
    uint64_t range_uj = 0;  // the counter goes from 0 to this and starts again
    uint64_t last_uj = 0;
    double total_uj = 0;  // since Open
    bool is_memory = false;
  };

  Status OpenZones(const std::filesystem::path& root);
  void OpenGpus(std::unique_ptr<GpuManager> gpus);
  // Whether every counter could be read.
  bool UpdateZones();
  std::optional<double> GpuJoules(size_t index) const;

  std::vector<Zone> zones_;
  std::unique_ptr<GpuManager> gpus_;                // null when no GPU has a counter
  std::vector<std::optional<double>> gpu_start_j_;  // null: this GPU has no counter
};

}  // namespace moecap::hardware
