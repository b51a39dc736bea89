#include "stats/quantile_bounds.h"

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>

#include "base/check.h"
#include "stats/summary.h"

namespace moecap::stats {

double ProbabilityAtMostAbove(int64_t t, int64_t n, double q) {
  CHECK(q > 0 && q < 1 && t >= 0 && t < n);
  return boost::math::ibeta(static_cast<double>(n - t), static_cast<double>(t + 1), q);
}

std::optional<int64_t> DiscardableSamples(int64_t n, double q, double confidence) {
  if (n < 1 || ProbabilityAtMostAbove(0, n, q) > 1 - confidence) return std::nullopt;
  int64_t good = 0;
  int64_t bad = n;  // of n samples, some lie above with certainty less than 1 only for t < n
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (ProbabilityAtMostAbove(middle, n, q) <= 1 - confidence ? good : bad) = middle;
  }
  return good;
}

int64_t SamplesNeeded(double q, double confidence, int64_t t) {
  const auto enough = [&](int64_t n) { return ProbabilityAtMostAbove(t, n, q) <= 1 - confidence; };
  int64_t too_few = t;
  int64_t many = t + 1;
  while (!enough(many)) {
    too_few = many;
    many *= 2;
  }
  while (many - too_few > 1) {
    const int64_t middle = too_few + (many - too_few) / 2;
    (enough(middle) ? many : too_few) = middle;
  }
  return many;
}

QuantileEstimate EstimateQuantile(std::span<const double> sorted, double q, double confidence) {
  CHECK(!sorted.empty());
  const auto n = static_cast<int64_t>(sorted.size());
  QuantileEstimate estimate;
  estimate.q = q;
  estimate.value = Quantile(sorted, q);
  // A low percentile needs as many below it as its mirror image needs above.
  estimate.samples_needed = SamplesNeeded(std::max(q, 1 - q), confidence);
  estimate.supported = n >= estimate.samples_needed;
  if (const auto above = DiscardableSamples(n, q, confidence); above && *above >= 1) estimate.high = sorted[n - *above];
  if (const auto below = DiscardableSamples(n, 1 - q, confidence); below && *below >= 1) estimate.low = sorted[*below - 1];
  return estimate;
}

}  // namespace moecap::stats
