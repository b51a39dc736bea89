// Distinct experts against the number of tokens, measured in a trace, and what the measurement says about how alike the tokens
// of one sequence choose.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace moecap::routing {

// Expected distinct experts of `batch` tokens drawn without replacement from `tokens` tokens of a trace, where expert i was
// used by counts[i] of them: sum_i 1 - C(N - n_i, B) / C(N, B) (rarefaction, Hurlbert 1971). This is the exact mean over all
// resamples of the trace. Requires 0 <= batch <= tokens and 0 <= n_i <= tokens.
double DistinctExpertsRarefied(std::span<const int64_t> counts, int64_t tokens, int64_t batch);

// The number of independent tokens (fractional) that would activate `distinct` experts, the inverse of
// DistinctExpertsFromPopularity. Null when no number does: `distinct` is not below the number of experts that are ever used, or
// is negative.
std::optional<double> EquivalentTokens(double distinct, std::span<const double> share, double top_k);

// Mean distinct experts over `samples` groups of `tokens` tokens.
struct CoveragePoint {
  int64_t tokens = 0;
  int64_t samples = 0;
  double distinct = 0;
};

// The exponent d of B_eff = tokens^d (EffectiveTokens in estimate.h) that fits blocks of consecutive tokens of one sequence:
// least squares through the origin of ln B_eff against ln tokens, with B_eff from EquivalentTokens. Points of one token and
// points that use more than 95 % of the experts ever used say nothing and are left out. Null when none is left.
std::optional<double> FitInSequenceExponent(std::span<const CoveragePoint> blocks, std::span<const double> share, double top_k);

}  // namespace moecap::routing
