// Summaries of raw samples. Quantiles are exact, by linear interpolation between order statistics (R type 7, numpy's default).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace moecap::stats {

struct Distribution {
  int64_t count = 0;
  double mean = 0;
  double stddev = 0;  // sample standard deviation (n - 1); 0 for one sample
  double min = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double max = 0;
};

// Null for no samples.
std::optional<Distribution> Describe(std::span<const double> samples);
// The same of ascending samples, without a copy of them.
std::optional<Distribution> DescribeSorted(std::span<const double> sorted);

// The q-quantile of ascending `sorted`, 0 <= q <= 1. Requires a non-empty span.
double Quantile(std::span<const double> sorted, double q);
// Of samples in any order; 0 for none.
double Median(std::span<const double> samples);

// A figure measured once per repetition.
struct Spread {
  int64_t repeats = 0;
  double mean = 0;
  double min = 0;
  double max = 0;
  std::optional<double> stderr_of_mean;  // null for fewer than two repetitions
};

std::optional<Spread> DescribeRepeats(std::span<const double> values);

// Mean of per-item scores and its standard error, sqrt(sum (x - mean)^2 / (n - 1)) / sqrt(n), as lm-evaluation-harness computes
// it.
struct MeanWithError {
  double mean = 0;
  std::optional<double> std_error;  // null for fewer than two items
};
std::optional<MeanWithError> MeanAndError(std::span<const double> scores);

}  // namespace moecap::stats
