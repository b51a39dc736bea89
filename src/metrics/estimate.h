// Distinct experts of a pass that nobody traced. The caller marks the pass's source as estimated.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "record/pass_record.h"
#include "routing/activation_sheet.h"
#include "routing/estimate.h"

namespace moecap::metrics {

// One entry per MoE layer, for PassRecord::distinct_experts: Beta-binomial with popularity skew `cv` for the pass's effective
// tokens (sequences are independent, tokens of one sequence count as tokens^in_sequence_exponent). Empty for a dense model.
std::vector<double> EstimateDistinctExperts(const model::ModelSpec& model, const record::PassRecord& pass,
                                            double cv = routing::kDefaultPopularityCv,
                                            double in_sequence_exponent = routing::kInSequenceExponent);

// What an estimate rests on.
struct ExpertEstimate {
  double cv = routing::kDefaultPopularityCv;
  double in_sequence_exponent = routing::kInSequenceExponent;
  // What a recording of this model says instead, layer by layer: the popularity of its experts at `end`, and the exponent where
  // it was measured. Null = the router's shape alone. Must outlive the use; requires CheckSheet.
  const routing::ActivationSheet* sheet = nullptr;
  routing::SheetEnd end = routing::SheetEnd::kExpected;
};

// The band around an estimate. Without a sheet: as alike as tokens were ever seen, and uniform popularity. With one: its ends
// of the popularity; where it does not know its halves, the same as without.
inline constexpr ExpertEstimate kFewestExperts{1.0, 0.52, nullptr, routing::SheetEnd::kFewest};
inline constexpr ExpertEstimate kMostExperts{0.0, 0.70, nullptr, routing::SheetEnd::kMost};

// Whether the sheet can be of this model. Error kBadInput: another number of layers with experts, of experts or of top-k; a
// layer in which the recording saw no tokens, or with figures that no recording gives.
Status CheckSheet(const model::ModelSpec& model, const routing::ActivationSheet& sheet);

// Whether the distinct experts of a pass are to be estimated: neither they nor counts are known, or they are an estimate.
bool NeedsEstimate(const record::PassRecord& pass);

// Gives every pass that NeedsEstimate the estimated ones, and marks their source. Returns how many. None for a dense model.
int64_t FillDistinctExperts(const model::ModelSpec& model, const ExpertEstimate& estimate,
                            std::vector<record::PassRecord>& passes);

}  // namespace moecap::metrics
