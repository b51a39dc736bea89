// Energy counters: the processor's by Linux powercap ("RAPL", on Intel and AMD), NVIDIA GPUs' by NVML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/probe/nvml.h"

namespace moecap::hardware {

// Joules of one span of time; null = that part has no counter here, or it could not be read.
struct Energy {
  std::optional<double> processor_j;  // all packages and, where the machine counts it, their memory
  std::optional<double> gpu_j;        // all NVIDIA GPUs of the machine with their memory, whether used or not
};

// Energy of fans, drives, power supply and other makers' accelerators is not in it. Not thread-safe.
class EnergyReader {
 public:
  // The processor's counters under `root` and, when `root` is this machine, those of its NVIDIA GPUs.
  // Errors: kFailed when the machine has no counter at all (most virtual machines without a GPU) or none may be read (root only
  // by default), with what to do; the caller then estimates from nameplates.
  static Result<EnergyReader> Open(const std::filesystem::path& root = "/");

  // The same with the given GPUs; null = none.
  static Result<EnergyReader> Open(const std::filesystem::path& root, std::unique_ptr<GpuManager> gpus);

  // Joules since Open, processor and GPUs apart. The processor's counters wrap (at 262 kJ on many machines: after 17 minutes at
  // 250 W); a wrap is seen when this is called at least once in that time. The GPUs' do not.
  Energy SinceOpen();

  // The sum of the parts that this reader counts; null when one of them can no longer be read.
  std::optional<double> JoulesSinceOpen();

  bool CountsProcessor() const { return !zones_.empty(); }
  bool CountsGpus() const { return gpus_ != nullptr; }

  // "RAPL: package-0, dram; NVML: 8 GPUs"
  std::string Describe() const;

 private:
  struct Zone {
    std::string name;
    std::filesystem::path counter;
    uint64_t range_uj = 0;  // the counter goes from 0 to this and starts again
    uint64_t last_uj = 0;
  };

  Status OpenZones(const std::filesystem::path& root);
  void OpenGpus(std::unique_ptr<GpuManager> gpus);
  std::optional<double> ProcessorJoules();
  std::optional<double> GpuJoules() const;

  std::vector<Zone> zones_;
  double processor_j_ = 0;
  std::unique_ptr<GpuManager> gpus_;  // null when no GPU has a counter
  std::vector<double> gpu_start_j_;
};

}  // namespace moecap::hardware
