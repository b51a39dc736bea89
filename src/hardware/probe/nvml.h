// NVIDIA's management library, opened at run time: the program needs no NVIDIA driver to start.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/machine.h"

namespace moecap::hardware {

// What the NVIDIA driver tells of its GPUs. An interface, so that tests can put GPUs into a machine that has none.
class GpuManager {
 public:
  virtual ~GpuManager() = default;

  // All GPUs of the machine, in the driver's order; serial numbers and UUIDs are left out.
  virtual std::vector<Accelerator> Devices() = 0;

  // Of the GPU at `index` of Devices: joules since the driver was loaded (Volta and later) and watts now, memory included.
  // Null where the GPU has no such counter.
  virtual std::optional<double> TotalJoules(size_t index) = 0;
  virtual std::optional<double> PowerW(size_t index) = 0;
};

// Errors: kFailed when there is no such library (no NVIDIA driver), or its start fails (library and kernel module of different
// versions, no permission), with the reason.
Result<std::unique_ptr<GpuManager>> OpenNvml(const std::string& library = "libnvidia-ml.so.1");

}  // namespace moecap::hardware
