// What an NVIDIA GPU and its link to the host can do at most, through the driver's own interface (CUDA driver API), opened at
// run time. Internal to hardware/probe.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/host.h"
#include "hardware/probe/nvml.h"

namespace moecap::hardware {

struct GpuOptions {
  double figure_s = 0.5;                     // for each figure; the GPU's own clock times it
  double most_bytes = 1024.0 * 1024 * 1024;  // of each of two buffers on the GPU; at most a quarter of its free memory each
  double most_pinned_bytes = 256.0 * 1024 * 1024;  // on the host
  std::string cuda_library = "libcuda.so.1";
};

// All GPUs that CUDA_VISIBLE_DEVICES leaves, one after the other. `gpus` gives power and energy; null = those stay null. Every
// copy is compared with what was sent, every sum with the sum of what was written. Errors: kFailed when there is no driver, or
// it does not start; what goes wrong on one GPU is a note of that GPU.
Result<std::vector<GpuCeilings>> MeasureGpus(const GpuOptions& options, GpuManager* gpus);

}  // namespace moecap::hardware
