// The formulas of metrics/ against what the engine's graph was counted to touch, for one pass.
#pragma once

#include "model/model_spec.h"
#include "system/llamacpp/graph_run.h"

namespace moecap::app {

// Largest relative differences that `moecap validate` accepts.
inline constexpr double kBytesTolerance = 0.005;
inline constexpr double kFlopsTolerance = 0.0005;

struct GraphCheck {
  double formula_bytes = 0;  // metrics::PassBytes, complete convention
  double graph_bytes = 0;
  double formula_flops = 0;  // metrics::PassFlops, complete convention
  double graph_flops = 0;

  // formula / graph - 1
  double BytesDifference() const { return formula_bytes / graph_bytes - 1; }
  double FlopsDifference() const { return formula_flops / graph_flops - 1; }
  bool Passes() const;
};

// `model` as the embedded engine runs it: MLA in the latent space (the absorbed form), in prefill too.
model::ModelSpec AsTheEngineRuns(model::ModelSpec model);

// `model` from AsTheEngineRuns. The pass must carry its expert counts (they come from the routing probe, not from the counter).
GraphCheck CheckPass(const model::ModelSpec& model, const llamacpp::GraphPass& pass);

}  // namespace moecap::app
