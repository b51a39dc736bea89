// What a decode step costs as the batch grows: the sparsity curve of MoE-CAP (Fig. 4 and 5), from a model's shape alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model_spec.h"
#include "routing/estimate.h"

namespace moecap::metrics {

// One decode step of `batch` independent sequences with `context_tokens` each. Distinct experts are an estimate: Beta-binomial
// with popularity skew `cv`, mean over the MoE layers; the uniform estimate is its upper bound.
struct BatchPoint {
  int64_t batch = 1;
  double distinct_experts = 0;          // 0 for a dense model
  double distinct_experts_uniform = 0;  // independent tokens, uniform popularity
  double activated_share = 0;           // parameters that the step touches / all parameters, 0..1
  double bytes_per_step = 0;            // complete convention (pass_cost.h)
  double kv_bytes_per_step = 0;         // of them
  double flops_per_token = 0;
};

struct BatchCurveOptions {
  int64_t context_tokens = 4096;
  double cv = routing::kDefaultPopularityCv;
};

// Requires batches >= 1 and a context >= 0.
std::vector<BatchPoint> DecodeCurve(const model::ModelSpec& model, std::span<const int64_t> batches,
                                    const BatchCurveOptions& options);

// A prefill pass of one sequence of `tokens` tokens.
struct PrefillCost {
  int64_t tokens = 0;
  double bytes = 0;
  double flops = 0;
};
PrefillCost CostOfPrefill(const model::ModelSpec& model, int64_t tokens, double cv = routing::kDefaultPopularityCv);

}  // namespace moecap::metrics
