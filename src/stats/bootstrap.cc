#include "stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "stats/summary.h"

namespace moecap::stats {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): 64 well-mixed bits a step, the same everywhere, unlike the library's distributions.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  // 0 <= result < bound. The high half of a product (Lemire 2019); its bias is below bound / 2^32, far under the sampling
  // error.
  size_t Below(size_t bound) { return static_cast<size_t>(((Next() >> 32) * bound) >> 32); }

 private:
  uint64_t state_;
};

Interval Central(std::vector<double>& values, double confidence) {
  std::sort(values.begin(), values.end());
  const double tail = (1 - confidence) / 2;
  return {Quantile(values, tail), Quantile(values, 1 - tail)};
}

void CheckOptions(const ResamplingOptions& options) {
  CHECK(options.resamples > 0);
  CHECK(options.confidence > 0 && options.confidence < 1);
}

std::vector<double> Differences(std::span<const double> first, std::span<const double> second) {
  std::vector<double> differences;
  for (size_t i = 0; i < first.size(); ++i) differences.push_back(first[i] - second[i]);
  return differences;
}

Interval BootstrapMean(std::span<const double> samples, const ResamplingOptions& options) {
  Random random(options.seed);
  std::vector<double> means;
  for (int64_t i = 0; i < options.resamples; ++i) {
    double sum = 0;
    for (size_t k = 0; k < samples.size(); ++k) sum += samples[random.Below(samples.size())];
    means.push_back(sum / static_cast<double>(samples.size()));
  }
  return Central(means, options.confidence);
}

// P(at most `fewer` or at least n - `fewer` heads in n fair throws).
double TwoSidedBinomial(int64_t n, int64_t fewer) {
  double tail = 0;
  for (int64_t k = 0; k <= fewer; ++k) {
    const double log_ways = std::lgamma(static_cast<double>(n) + 1) - std::lgamma(static_cast<double>(k) + 1) -
                            std::lgamma(static_cast<double>(n - k) + 1);
    tail += std::exp(log_ways - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

// Share of random sign patterns under which the sum is at least as far from 0 as the observed one.
double SignFlipTest(std::span<const double> differences, const ResamplingOptions& options) {
  double observed = 0;
  for (const double difference : differences) observed += difference;
  // Sums that differ only by rounding count as equal.
  const double threshold = std::abs(observed) * (1 - 1e-12);
  Random random(options.seed ^ 0x5851f42d4c957f2dULL);
  int64_t as_far = 0;
  for (int64_t i = 0; i < options.resamples; ++i) {
    double sum = 0;
    uint64_t bits = 0;
    for (size_t k = 0; k < differences.size(); ++k) {
      if (k % 64 == 0) bits = random.Next();
      sum += (bits >> (k % 64) & 1) != 0 ? differences[k] : -differences[k];
    }
    as_far += std::abs(sum) >= threshold ? 1 : 0;
  }
  return static_cast<double>(as_far + 1) / static_cast<double>(options.resamples + 1);
}

}  // namespace

std::optional<Interval> BootstrapInterval(std::span<const double> samples,
                                          const std::function<double(std::span<const double>)>& statistic,
                                          const ResamplingOptions& options) {
  CheckOptions(options);
  if (samples.size() < 2) return std::nullopt;
  Random random(options.seed);
  std::vector<double> resample(samples.size());
  std::vector<double> values;
  for (int64_t i = 0; i < options.resamples; ++i) {
    for (double& value : resample) value = samples[random.Below(samples.size())];
    std::sort(resample.begin(), resample.end());
    values.push_back(statistic(resample));
  }
  return Central(values, options.confidence);
}

std::optional<PairedComparison> ComparePaired(std::span<const double> first, std::span<const double> second,
                                              const ResamplingOptions& options) {
  CheckOptions(options);
  CHECK(first.size() == second.size());
  const std::vector<double> differences = Differences(first, second);
  const auto mean = MeanAndError(differences);
  if (!mean) return std::nullopt;
  PairedComparison result;
  result.pairs = static_cast<int64_t>(differences.size());
  result.mean_difference = mean->mean;
  result.std_error = mean->std_error;
  if (differences.size() >= 2) result.interval = BootstrapMean(differences, options);
  double size = 0;
  bool one_size = true;
  for (const double difference : differences) {
    if (difference == 0) continue;
    (difference > 0 ? result.first_better : result.second_better) += 1;
    one_size &= size == 0 || std::abs(difference) == size;
    size = std::abs(difference);
  }
  result.p_value_is_exact = one_size;
  const int64_t unequal = result.first_better + result.second_better;
  result.p_value = one_size ? TwoSidedBinomial(unequal, std::min(result.first_better, result.second_better))
                            : SignFlipTest(differences, options);
  return result;
}

}  // namespace moecap::stats
