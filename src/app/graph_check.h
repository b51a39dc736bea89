// The formulas of metrics/ against what the engine's graph was counted to touch, for one pass.
#pragma once

#include "base/result.h"
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

// The least memory that the passes of `options` take: the weights, and in each of the engine's three contexts (counted, timed,
// recorded) the KV cache of the largest batch at the longest context in fp16, the logits of one physical batch and its mask,
// and without flash attention the scores. Bytes.
double LeastMemoryBytes(const model::ModelSpec& model, const llamacpp::GraphRunOptions& options);
// kBadInput, before anything is allocated, when that is more than `available_bytes`; says which contexts or batches would fit.
Status CheckMemory(const model::ModelSpec& model, const llamacpp::GraphRunOptions& options, double available_bytes);

// `model` from AsTheEngineRuns. The pass must carry its expert counts (they come from the routing probe, not from the counter).
GraphCheck CheckPass(const model::ModelSpec& model, const llamacpp::GraphPass& pass);

}  // namespace moecap::app
