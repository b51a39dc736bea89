#include "routing/coverage.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "routing/estimate.h"

namespace moecap::routing {

double DistinctExpertsRarefied(std::span<const int64_t> counts, int64_t tokens, int64_t batch) {
  CHECK(batch >= 0 && batch <= tokens);
  double distinct = 0;
  for (const int64_t count : counts) {
    CHECK(count >= 0 && count <= tokens);
    if (count == 0 || batch == 0) continue;
    if (count > tokens - batch) {  // every draw meets it
      distinct += 1;
      continue;
    }
    // C(N - n, B) / C(N, B) = (N - n)! (N - B)! / (N! (N - n - B)!), as a product over the shorter of the two ranges.
    const int64_t steps = std::min(count, batch);
    const int64_t other = std::max(count, batch);
    double log_idle = 0;
    if (steps <= 64) {
      for (int64_t i = 0; i < steps; ++i) log_idle += std::log1p(-static_cast<double>(other) / static_cast<double>(tokens - i));
    } else {
      const auto n = static_cast<double>(tokens);
      const auto a = static_cast<double>(count);
      const auto b = static_cast<double>(batch);
      log_idle = std::lgamma(n - a + 1) + std::lgamma(n - b + 1) - std::lgamma(n + 1) - std::lgamma(n - a - b + 1);
    }
    distinct -= std::expm1(std::min(0.0, log_idle));
  }
  return distinct;
}

std::optional<double> EquivalentTokens(double distinct, std::span<const double> share, double top_k) {
  const auto used = static_cast<double>(std::ranges::count_if(share, [](double part) { return part > 0; }));
  if (!(distinct >= 0) || distinct >= used) return std::nullopt;
  double low = 0;
  double high = 1;
  while (DistinctExpertsFromPopularity(share, top_k, high) < distinct) {
    low = high;
    high *= 2;
    if (high > 1e15) return std::nullopt;
  }
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (DistinctExpertsFromPopularity(share, top_k, middle) < distinct ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::optional<double> FitInSequenceExponent(std::span<const CoveragePoint> blocks, std::span<const double> share,
                                            double top_k) {
  constexpr double kSaturated = 0.95;
  const auto used = static_cast<double>(std::ranges::count_if(share, [](double part) { return part > 0; }));
  double product = 0;
  double square = 0;
  for (const CoveragePoint& block : blocks) {
    if (block.tokens < 2 || block.samples == 0 || block.distinct > kSaturated * used) continue;
    const std::optional<double> effective = EquivalentTokens(block.distinct, share, top_k);
    if (!effective || *effective <= 0) continue;
    const double log_tokens = std::log(static_cast<double>(block.tokens));
    product += log_tokens * std::log(*effective);
    square += log_tokens * log_tokens;
  }
  if (square == 0) return std::nullopt;
  return product / square;
}

}  // namespace moecap::routing
