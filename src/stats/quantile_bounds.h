// What a sample can say about a percentile: distribution-free bounds from order statistics.
//
// With n independent samples, the number of samples above the true q-quantile is binomial, Bin(n, 1 - q) (for a continuous
// distribution). Requests that were batched together are correlated, so in practice these bounds are the narrowest honest ones.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace moecap::stats {

// Probability that at most `t` of `n` samples lie above the true q-quantile: P(Bin(n, 1 - q) <= t), computed as the regularised
// incomplete beta function I_q(n - t, t + 1). Requires 0 < q < 1 and 0 <= t < n.
double ProbabilityAtMostAbove(int64_t t, int64_t n, double q);

// MLPerf LoadGen's early-stopping rule (early_stopping.cc): the largest t whose probability is at most 1 - confidence. Then the
// (t + 1)-th largest of n samples is above the true q-quantile with at least that confidence. Null when even t = 0 is not
// enough: the largest sample is no bound.
std::optional<int64_t> DiscardableSamples(int64_t n, double q, double confidence);

// The least n for which DiscardableSamples gives at least `t`. LoadGen asks for t = 1, since it reports the t-th largest
// sample: 64 for p90, 662 for p99, 6636 for p99.9 at 99 % confidence.
int64_t SamplesNeeded(double q, double confidence, int64_t t = 1);

inline constexpr double kQuantileConfidence = 0.99;

// A percentile with what is known of it.
struct QuantileEstimate {
  double q = 0;
  double value = 0;           // of the sample (stats::Quantile)
  std::optional<double> low;  // one-sided bounds of the true quantile, each at `confidence`; null where the sample is too small
  std::optional<double> high;
  bool supported = false;      // n >= samples_needed: otherwise `value` is one of the few largest (smallest) samples
  int64_t samples_needed = 0;  // SamplesNeeded of q or 1 - q, whichever is larger
};

// Of ascending `sorted`, non-empty. `high` is LoadGen's estimate, the t-th largest sample; `low` the same from the other end.
QuantileEstimate EstimateQuantile(std::span<const double> sorted, double q, double confidence = kQuantileConfidence);

}  // namespace moecap::stats
