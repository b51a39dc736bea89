// moecap validate --gpu: what the formulas say of passes that a GPU makes, their latencies, and brackets for a profiler whose
// counters say what the GPU's memory moved meanwhile (docs/validation.md).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "system/llamacpp/graph_run.h"

namespace moecap::app {

struct GpuPasses {
  llamacpp::GraphRunOptions options;
  std::string file;
  int cpu_experts = 0;   // llamacpp::Placement
  bool profile = false;  // brackets around one execution of each decode pass
  bool json = false;
};

// Those that the engine can use, by name; each backend tried first where a failure costs nothing. Error: kBadInput with the
// cause where there is none.
Result<std::vector<std::string>> GpuNames(llamacpp::EngineLibrary& library, bool tries_first);

// `spec` of the file, as the engine runs it. Errors: kBadInput where no GPU can be used, kFailed from the engine.
Status ValidateOnGpu(GpuPasses request, const model::ModelSpec& spec);

}  // namespace moecap::app
