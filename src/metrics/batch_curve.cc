#include "metrics/batch_curve.h"

#include <numeric>

#include "base/check.h"
#include "metrics/estimate.h"
#include "metrics/pass_cost.h"

namespace moecap::metrics {
namespace {

double Mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

record::PassRecord DecodePass(int64_t batch, int64_t context_tokens) {
  record::PassRecord pass;
  pass.kind = record::PassKind::kDecode;
  pass.latency_s = 1;
  pass.sequences = {{context_tokens, 1, batch}};
  pass.distinct_experts_source = record::Source::kEstimated;
  return pass;
}

// Parameters of the experts that the step does not touch. An input embedding counts as touched: conventions differ only there.
double IdleParams(const model::ModelSpec& model, const std::vector<double>& distinct) {
  double idle = 0;
  size_t moe_layer = 0;
  for (const model::LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    const double experts = layer.ffn.experts;
    idle +=
        static_cast<double>(layer.weights[model::TensorClass::kRoutedExpert].params) * (1 - distinct[moe_layer++] / experts);
  }
  return idle;
}

}  // namespace

std::vector<BatchPoint> DecodeCurve(const model::ModelSpec& model, std::span<const int64_t> batches,
                                    const BatchCurveOptions& options) {
  std::vector<BatchPoint> curve;
  const auto total = static_cast<double>(model.TotalParams());
  for (const int64_t batch : batches) {
    CHECK(batch >= 1 && options.context_tokens >= 0);
    record::PassRecord pass = DecodePass(batch, options.context_tokens);
    pass.distinct_experts = EstimateDistinctExperts(model, pass, options.cv);
    BatchPoint point;
    point.batch = batch;
    point.distinct_experts = Mean(pass.distinct_experts);
    point.distinct_experts_uniform = Mean(EstimateDistinctExperts(model, pass, 0));
    point.activated_share = (total - IdleParams(model, pass.distinct_experts)) / total;
    point.bytes_per_step = PassBytes(model, pass, Convention::kComplete).value();
    point.kv_bytes_per_step = PassKvBytes(model, pass, Convention::kComplete);
    point.flops_per_token = PassFlops(model, pass, Convention::kComplete) / static_cast<double>(batch);
    curve.push_back(point);
  }
  return curve;
}

PrefillCost CostOfPrefill(const model::ModelSpec& model, int64_t tokens, double cv) {
  CHECK(tokens >= 1);
  record::PassRecord pass = DecodePass(1, 0);
  pass.kind = record::PassKind::kPrefill;
  pass.sequences = {{0, tokens, 1}};
  pass.distinct_experts = EstimateDistinctExperts(model, pass, cv);
  return {tokens, PassBytes(model, pass, Convention::kComplete).value(), PassFlops(model, pass, Convention::kComplete)};
}

}  // namespace moecap::metrics
