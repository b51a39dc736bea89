#include "planner/speculation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "metrics/pass_cost.h"
#include "routing/coverage.h"
#include "routing/estimate.h"

namespace moecap::planner {
namespace {

double RoutedFlops(const model::ModelSpec& model, double tokens) {
  double flops = 0;
  for (const model::LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe() || layer.encoder) continue;
    const auto params = static_cast<double>(layer.weights[model::TensorClass::kRoutedExpert].matrix_params);
    flops += 2 * tokens * params / layer.ffn.experts * layer.ffn.ActiveExperts();
  }
  return flops;
}

}  // namespace

double TokensPerPass(double acceptance, int drafted) {
  double tokens = 1, all_before = 1;
  for (int token = 0; token < drafted; ++token) {
    all_before *= acceptance;
    tokens += all_before;
  }
  return tokens;
}

std::optional<double> AcceptanceOf(double tokens_per_pass, int drafted) {
  if (drafted == 0 || tokens_per_pass < 1 || tokens_per_pass > drafted + 1) return std::nullopt;
  double low = 0, high = 1;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (TokensPerPass(middle, drafted) < tokens_per_pass ? low : high) = middle;
  }
  return high;
}

double PassSeconds(const model::ModelSpec& model, const record::PassRecord& pass, const PassCeilings& ceilings) {
  CHECK(ceilings.bytes_per_s > 0 && ceilings.flops_per_s > 0);
  const auto convention = metrics::Convention::kComplete;
  const std::optional<double> bytes = metrics::PassBytes(model, pass, convention);
  CHECK(bytes);
  const std::vector<double> routed = metrics::PassRoutedBytes(model, pass, convention).value_or(std::vector<double>());
  const double routed_bytes = std::accumulate(routed.begin(), routed.end(), 0.0);
  const double routed_flops = RoutedFlops(model, static_cast<double>(pass.NewTokens()));
  const double flops = metrics::PassFlops(model, pass, convention, std::nullopt, metrics::MlaForm::kAbsorbed);
  const auto roofline = [&](double moved, double computed) {
    return std::max(moved / ceilings.bytes_per_s, computed / ceilings.flops_per_s);
  };
  return ceilings.pass_s + roofline(routed_bytes, routed_flops) + roofline(*bytes - routed_bytes, flops - routed_flops);
}

double VerifySeconds(const model::ModelSpec& model, std::span<const double> distinct, int sequences, int64_t context_tokens,
                     int tokens, const PassCeilings& ceilings) {
  CHECK(sequences >= 1 && tokens >= 1);
  record::PassRecord pass;
  pass.sequences = {{context_tokens, tokens, sequences}};
  pass.distinct_experts.assign(distinct.begin(), distinct.end());
  return PassSeconds(model, pass, ceilings);
}

double DistinctOfSequences(double distinct_of_one, std::span<const double> popularity, double top_k, int sequences) {
  if (sequences == 1) return distinct_of_one;
  const std::optional<double> tokens = routing::EquivalentTokens(distinct_of_one, popularity, top_k);
  if (!tokens) return distinct_of_one;  // it uses every expert that is ever used
  return routing::DistinctExpertsFromPopularity(popularity, top_k, *tokens * sequences);
}

double SpeculationSpeedUp(double tokens_per_pass, double plain_s, double verify_s, double draft_s) {
  return tokens_per_pass * plain_s / (verify_s + draft_s);
}

std::optional<double> BreakEvenAcceptance(int drafted, double plain_s, double verify_s, double draft_s) {
  const double needed = (verify_s + draft_s) / plain_s;
  if (needed <= 1) return 0;
  return AcceptanceOf(needed, drafted);
}

std::vector<SpeculationPrediction> PredictSpeculation(const model::ModelSpec& model,
                                                      std::span<const std::vector<double>> distinct,
                                                      std::span<const std::vector<double>> popularity,
                                                      const SpeculationSetting& setting) {
  CHECK(!distinct.empty());
  std::vector<SpeculationPrediction> predictions;
  double plain_s = 0;
  for (size_t drafted = 0; drafted < distinct.size(); ++drafted) {
    std::vector<double> read = distinct[drafted];
    for (size_t layer = 0; layer < read.size() && setting.sequences > 1; ++layer)
      read[layer] = DistinctOfSequences(read[layer], popularity[layer], model.TopK(), setting.sequences);
    const int tokens = static_cast<int>(drafted) + 1;
    const double verify_s = VerifySeconds(model, read, setting.sequences, setting.context_tokens, tokens, setting.ceilings);
    const double draft_s = static_cast<double>(drafted) * setting.draft_s_per_token;
    if (drafted == 0) plain_s = verify_s;
    SpeculationPrediction& at = predictions.emplace_back();
    at.drafted = static_cast<int>(drafted);
    at.distinct_experts = std::accumulate(read.begin(), read.end(), 0.0) / static_cast<double>(read.size());
    at.cost = (verify_s + draft_s) / plain_s;
    at.tokens_per_pass = TokensPerPass(setting.acceptance, at.drafted);
    at.speed_up = SpeculationSpeedUp(at.tokens_per_pass, plain_s, verify_s, draft_s);
    at.break_even = BreakEvenAcceptance(at.drafted, plain_s, verify_s, draft_s);
  }
  return predictions;
}

double SpeculationSpeedUp(std::span<const SpeculativePasses> passes, double plain_s) {
  double tokens = 0, seconds = 0;
  for (const SpeculativePasses& some : passes) {
    tokens += some.passes * (1 + some.accepted);
    seconds += some.passes * some.seconds;
  }
  CHECK(seconds > 0);
  return tokens * plain_s / seconds;
}

}  // namespace moecap::planner
