// What the embedded engine is and can use here, without a model.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::app {

struct EngineReport {
  std::string description;                // "llama.cpp v0.5.0 (CPU)"
  std::vector<std::string> cpu_features;  // that its kernels found on this processor: "AVX2", "AVX512_BF16"
  std::vector<std::string> gpus;          // that it can compute on: "CUDA0 NVIDIA H200"
  std::string gpu_failure;                // why GPU backends were left out; empty when there are none, or all work
};

// Loads the engine's libraries; trying GPU backends takes a second or more. Errors: kFailed when it has no compute backend;
// kBadInput in a build without the engine, with the remedy.
Result<EngineReport> ReportEngine();

}  // namespace moecap::app
