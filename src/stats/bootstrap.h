// Resampling: intervals for statistics without a formula, and whether two systems differ on the same problems.
//
// Deterministic: the same samples, options and seed give the same figures on every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "stats/interval.h"

namespace moecap::stats {

struct ResamplingOptions {
  int64_t resamples = 10000;
  double confidence = 0.95;  // 0 < confidence < 1
  uint64_t seed = 20240731;
};

// Percentile bootstrap interval of `statistic` (Efron 1979): the statistic of resamples drawn with replacement, and the central
// `confidence` of their values. `statistic` gets the resample in ascending order, so that quantiles can be taken directly.
// Null for fewer than two samples.
std::optional<Interval> BootstrapInterval(std::span<const double> samples,
                                          const std::function<double(std::span<const double>)>& statistic,
                                          const ResamplingOptions& options = {});

// Two systems on the same problems, in the same order. Pairing removes the variation between easy and hard problems, which
// dominates the standard error of each system's own mean.
struct PairedComparison {
  int64_t pairs = 0;
  int64_t first_better = 0;  // problems on which the first system scores higher
  int64_t second_better = 0;
  double mean_difference = 0;        // mean(first) - mean(second)
  std::optional<double> std_error;   // of the mean difference; null for fewer than two pairs
  std::optional<Interval> interval;  // bootstrap, of the mean difference; null for fewer than two pairs
  // Two-sided probability of a difference at least this large if the systems were equal on every problem. Exact (McNemar's test
  // by the binomial distribution) when all differences have one size, as with right or wrong; else by random sign changes,
  // which cannot give less than 1 / (resamples + 1).
  double p_value = 1;
  bool p_value_is_exact = false;
};

// Null for no pairs. Requires equally many scores of both.
std::optional<PairedComparison> ComparePaired(std::span<const double> first, std::span<const double> second,
                                              const ResamplingOptions& options = {});

}  // namespace moecap::stats
