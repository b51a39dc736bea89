#include "routing/estimate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace moecap::routing {

double DistinctExpertsUniform(double experts, double top_k, double tokens) {
  CHECK(top_k >= 0 && top_k <= experts && tokens >= 0);
  if (experts == 0 || tokens == 0) return 0;
  if (top_k == experts) return experts;
  // -expm1(B log1p(-q)) keeps its digits for small q.
  return -experts * std::expm1(tokens * std::log1p(-top_k / experts));
}

double DistinctExpertsBetaBinomial(double experts, double top_k, double tokens, double cv) {
  CHECK(cv >= 0);
  const double uniform = DistinctExpertsUniform(experts, top_k, tokens);
  if (cv < 1e-6 || tokens <= 1 || top_k <= 0 || top_k >= experts) return uniform;
  const double q = top_k / experts;
  // s > 0 needs cv^2 < (1 - q) / q; at the limit every expert is used always or never, and A = k.
  const double s = q * (1 - q) / (cv * cv * q * q) - 1;
  if (s <= 1e-9) return top_k;
  const double a = q * s;
  const double b = (1 - q) * s;
  const double log_idle = std::lgamma(b + tokens) - std::lgamma(b) - std::lgamma(a + b + tokens) + std::lgamma(a + b);
  // For huge s the differences of lgamma lose their digits; A lies between k and the uniform value anyway.
  return std::clamp(-experts * std::expm1(log_idle), top_k, uniform);
}

double DistinctExpertsFromPopularity(std::span<const double> share, double top_k, double tokens) {
  CHECK(top_k >= 0 && tokens >= 0);
  const double sum = std::accumulate(share.begin(), share.end(), 0.0);
  if (sum <= 0) return 0;
  double distinct = 0;
  for (const double part : share) {
    CHECK(part >= 0);
    const double rate = std::min(1.0, top_k * part / sum);
    if (rate == 0 || tokens == 0) continue;
    distinct += rate == 1 ? 1 : -std::expm1(tokens * std::log1p(-rate));
  }
  return distinct;
}

double EffectiveTokens(std::span<const double> tokens, double exponent) {
  double sum = 0;
  for (const double count : tokens) {
    if (count > 0) sum += std::pow(count, exponent);
  }
  return sum;
}

}  // namespace moecap::routing
