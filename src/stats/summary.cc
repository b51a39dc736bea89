#include "stats/summary.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"

namespace moecap::stats {
namespace {

// Sums with compensation (Neumaier): a long run adds millions of latencies of very different size.
double Sum(std::span<const double> values) {
  double sum = 0;
  double lost = 0;
  for (const double value : values) {
    const double next = sum + value;
    lost += std::abs(sum) >= std::abs(value) ? (sum - next) + value : (value - next) + sum;
    sum = next;
  }
  return sum + lost;
}

double Mean(std::span<const double> values) { return Sum(values) / static_cast<double>(values.size()); }

// Two passes: the one-pass sum of squares cancels when the spread is small beside the mean. Requires two values.
double SampleVariance(std::span<const double> values, double mean) {
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return squares / static_cast<double>(values.size() - 1);
}

}  // namespace

double Quantile(std::span<const double> sorted, double q) {
  CHECK(!sorted.empty());
  CHECK(q >= 0 && q <= 1);
  const double position = q * static_cast<double>(sorted.size() - 1);
  const size_t below = std::min(static_cast<size_t>(position), sorted.size() - 1);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = position - static_cast<double>(below);
  const double step = sorted[above] - sorted[below];
  // Interpolating from the nearer end gives numpy's last digit and keeps the result between the two values.
  return weight < 0.5 ? sorted[below] + step * weight : sorted[above] - step * (1 - weight);
}

double Median(std::span<const double> samples) {
  if (samples.empty()) return 0;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  return Quantile(sorted, 0.5);
}

std::optional<Distribution> Describe(std::span<const double> samples) {
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return DescribeSorted(sorted);
}

std::optional<Distribution> DescribeSorted(std::span<const double> sorted) {
  if (sorted.empty()) return std::nullopt;
  const double mean = Mean(sorted);
  Distribution result;
  result.count = static_cast<int64_t>(sorted.size());
  result.mean = mean;
  result.stddev = sorted.size() < 2 ? 0 : std::sqrt(SampleVariance(sorted, mean));
  result.min = sorted.front();
  result.p50 = Quantile(sorted, 0.50);
  result.p90 = Quantile(sorted, 0.90);
  result.p99 = Quantile(sorted, 0.99);
  result.max = sorted.back();
  return result;
}

std::optional<MeanWithError> MeanAndError(std::span<const double> scores) {
  if (scores.empty()) return std::nullopt;
  MeanWithError result;
  result.mean = Mean(scores);
  if (scores.size() >= 2) {
    result.std_error = std::sqrt(SampleVariance(scores, result.mean) / static_cast<double>(scores.size()));
  }
  return result;
}

std::optional<Spread> DescribeRepeats(std::span<const double> values) {
  const std::optional<MeanWithError> mean = MeanAndError(values);
  if (!mean) return std::nullopt;
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  return Spread{static_cast<int64_t>(values.size()), mean->mean, *min, *max, mean->std_error};
}

}  // namespace moecap::stats
