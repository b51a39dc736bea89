// Distinct experts of a pass that nobody traced. The caller marks the pass's source as estimated.
#pragma once

#include <vector>

#include "model/model_spec.h"
#include "record/pass_record.h"
#include "routing/estimate.h"

namespace moecap::metrics {

// One entry per MoE layer, for PassRecord::distinct_experts: Beta-binomial with popularity skew `cv` for the pass's effective
// tokens (sequences are independent, tokens of one sequence count as tokens^in_sequence_exponent). Empty for a dense model.
std::vector<double> EstimateDistinctExperts(const model::ModelSpec& model, const record::PassRecord& pass,
                                            double cv = routing::kDefaultPopularityCv,
                                            double in_sequence_exponent = routing::kInSequenceExponent);

// What the estimate rests on. The band around the default: as alike as it was ever seen, and uniform popularity.
struct ExpertEstimate {
  double cv = routing::kDefaultPopularityCv;
  double in_sequence_exponent = routing::kInSequenceExponent;
};
inline constexpr ExpertEstimate kFewestExperts{1.0, 0.52};
inline constexpr ExpertEstimate kMostExperts{0.0, 0.70};

// Gives every pass that knows neither distinct experts nor counts the estimated ones, and marks their source. Returns how many.
// None for a dense model.
int64_t FillDistinctExperts(const model::ModelSpec& model, const ExpertEstimate& estimate,
                            std::vector<record::PassRecord>& passes);

}  // namespace moecap::metrics
