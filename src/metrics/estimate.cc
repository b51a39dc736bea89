#include "metrics/estimate.h"

#include <algorithm>
#include <cmath>

namespace moecap::metrics {

std::vector<double> EstimateDistinctExperts(const model::ModelSpec& model, const record::PassRecord& pass, double cv,
                                            double in_sequence_exponent) {
  double tokens = 0;
  for (const record::SequenceSlice& slice : pass.sequences) {
    const double per_sequence = std::pow(static_cast<double>(std::max<int64_t>(slice.new_tokens, 0)), in_sequence_exponent);
    tokens += static_cast<double>(slice.count) * (slice.new_tokens > 0 ? per_sequence : 0);
  }
  std::vector<double> distinct;
  for (const model::LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    distinct.push_back(
        routing::DistinctExpertsBetaBinomial(layer.ffn.experts, layer.ffn.ActiveExperts(), std::max(tokens, 0.0), cv));
  }
  return distinct;
}

int64_t FillDistinctExperts(const model::ModelSpec& model, const ExpertEstimate& estimate,
                            std::vector<record::PassRecord>& passes) {
  if (model.MoeLayers() == 0) return 0;
  int64_t filled = 0;
  for (record::PassRecord& pass : passes) {
    if (!pass.distinct_experts.empty() || !pass.expert_counts.empty()) continue;
    pass.distinct_experts = EstimateDistinctExperts(model, pass, estimate.cv, estimate.in_sequence_exponent);
    pass.distinct_experts_source = record::Source::kEstimated;
    ++filled;
  }
  return filled;
}

}  // namespace moecap::metrics
