// Distinct experts of passes that nobody traced, from the best that is known of the model's routing, each with a band:
//
// | source    | expected                                                        | band |
// |-----------|-----------------------------------------------------------------|--------------------------------------------------|
// | sampled   | rarefaction of the sampled tokens (Hurlbert 1971): the exact    | delete-a-group jackknife over the sampled |
// |           | mean over all choices of so many of them                        | answers, 95 %, t with groups - 1 degrees | |
// sheet     | the recorded popularity (metrics::EstimateDistinctExperts)      | the ends of what the recording leaves open | |
// estimated | Beta-binomial of the router's shape                             | metrics::kFewestExperts to kMostExperts |
//
// Tokens of one sequence choose alike: s of them count as s^d, with d fitted to blocks of the sampled answers
// (routing/coverage.h), the sheet's, or the default. The jackknife (Quenouille 1956) leaves out one group of answers at a time,
// so that what the tokens of an answer have in common is in the band: se^2 = (G - 1) / G sum_g (x_(-g) - x_(.))^2.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "record/pass_record.h"
#include "routing/activation_sheet.h"
#include "routing/coverage.h"
#include "routing/routed_experts.h"
#include "stats/interval.h"

namespace moecap::live {

enum class ExpertSource : uint8_t { kNone, kEstimated, kSheet, kSampled };
// "none" (a dense model), "estimated", "sheet", "sampled".
std::string_view Name(ExpertSource source);

// Answers from which on a sample is used.
inline constexpr int kLeastAnswers = 4;
// The most groups of the jackknife.
inline constexpr int kMostGroups = 10;

// Not for several threads.
class Experts {
 public:
  // Per MoE layer, what is expected of a pass; and the same as each variant of the source has it, for Band.
  struct Distinct {
    std::vector<double> expected;
    std::vector<std::vector<double>> variants;  // as many for every pass until the sample changes
  };

  // `sheet` is of the model (metrics::CheckSheet); null = none.
  Experts(const model::ModelSpec& model, std::optional<routing::ActivationSheet> sheet);

  // The experts of one sampled answer. Error kBadInput: those of another model.
  Status AddAnswer(const routing::RoutedExperts& answer);
  void ForgetAnswers();

  ExpertSource source() const;
  int answers() const { return answers_; }
  int64_t tokens() const;  // sampled

  Distinct Of(const record::PassRecord& pass);

  // The band around a figure that grows with the distinct experts, such as the bytes of passes, of which each variant has its
  // own value. Requires as many variants as Of gave.
  stats::Interval Band(double expected, std::span<const double> variants) const;

 private:
  struct Layer {
    int index = 0;  // in the model
    int experts = 0;
    double top_k = 0;
    std::vector<std::vector<int64_t>> counts;  // [group][expert]: tokens that used it
    std::vector<int64_t> tokens;               // [group]
    std::vector<routing::CoveragePoint> blocks;
    std::optional<double> exponent;  // of the blocks; fitted again when the sample grew by a quarter
    int64_t fitted_tokens = 0;
  };

  void AddBlocks(Layer& layer, const routing::RoutedExperts& answer, int row_layer);
  void FitExponent(Layer& layer) const;
  // Distinct experts of one layer for so many independent tokens, without the answers of `left_out` (-1: with all).
  double Rarefied(const Layer& layer, double tokens, int left_out) const;
  Distinct Sampled(const record::PassRecord& pass);

  const model::ModelSpec& model_;
  std::optional<routing::ActivationSheet> sheet_;
  std::vector<Layer> layers_;
  int answers_ = 0;
  // By the sequences of a pass, until the sample changes.
  std::map<std::vector<std::pair<int64_t, int64_t>>, Distinct> known_;
};

}  // namespace moecap::live
