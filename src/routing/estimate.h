// How many distinct experts a batch of tokens activates, when no trace says so. Everything here is an estimate and must be
// marked as one wherever it is shown.
#pragma once

#include <span>

namespace moecap::routing {

// Default skew of expert popularity: coefficient of variation of the experts' rates.
inline constexpr double kDefaultPopularityCv = 0.5;
// Default exponents of EffectiveTokens: independent requests, and tokens of one prompt chunk.
inline constexpr double kIndependentExponent = 1.0;
inline constexpr double kInSequenceExponent = 0.6;

// E (1 - (1 - k/E)^B): B independent tokens, each choosing k of E experts uniformly. Exact for that case, and an upper bound
// for skewed routing. `top_k` may be fractional (zero experts), `tokens` too (EffectiveTokens). Requires 0 <= k <= E, B >= 0.
double DistinctExpertsUniform(double experts, double top_k, double tokens);

// The same with expert rates drawn from a Beta distribution of mean k/E and coefficient of variation `cv` (Beta-binomial):
// E (1 - exp(lgamma(b+B) - lgamma(b) - lgamma(a+b+B) + lgamma(a+b))), q = k/E, s = q(1-q)/(cv q)^2 - 1, a = qs, b = (1-q)s.
// cv = 0 is uniform. A cv that no Beta distribution of that mean has is lowered to the largest possible. At least k for B >= 1.
double DistinctExpertsBetaBinomial(double experts, double top_k, double tokens, double cv = kDefaultPopularityCv);

// sum over experts of 1 - (1 - p_i)^B, p_i = min(1, k x share_i): exact given the share of the routed tokens of each expert
// (shares need not be normalised; zeros allowed).
double DistinctExpertsFromPopularity(std::span<const double> share, double top_k, double tokens);

// Tokens of one sequence choose alike: B_eff = sum over sequences of tokens^exponent. `tokens` holds the new tokens per
// sequence. Evidence for 0.52-0.70 inside a sequence, 1 across independent requests.
double EffectiveTokens(std::span<const double> tokens, double exponent);

}  // namespace moecap::routing
