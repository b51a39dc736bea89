#include "stats/quantile_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace moecap::stats {
namespace {

// The binomial distribution summed term by term, each from the one before.
double BinomialSum(int64_t t, int64_t n, double q) {
  double term = std::pow(q, static_cast<double>(n));
  double sum = term;
  for (int64_t k = 1; k <= t; ++k) {
    term *= static_cast<double>(n - k + 1) / static_cast<double>(k) * (1 - q) / q;
    sum += term;
  }
  return sum;
}

TEST(QuantileBounds, EqualTheBinomialSum) {
  for (const double q : {0.5, 0.9, 0.99, 0.999}) {
    for (const int64_t n : {8, 100, 2500}) {
      for (const int64_t t : {0, 1, 5}) EXPECT_NEAR(ProbabilityAtMostAbove(t, n, q), BinomialSum(t, n, q), 1e-10);
    }
  }
}

// MLPerf LoadGen's rule at 99 %; computed independently with the published formula.
TEST(QuantileBounds, NeedThePublishedNumbersOfSamples) {
  struct Row {
    double q;
    int64_t none_discarded, one_discarded;
  };
  for (const Row& row : {Row{0.5, 7, 11}, Row{0.9, 44, 64}, Row{0.95, 90, 130}, Row{0.97, 152, 219}, Row{0.99, 459, 662},
                         Row{0.999, 4603, 6636}, Row{0.9999, 46050, 66381}}) {
    EXPECT_EQ(SamplesNeeded(row.q, 0.99, 0), row.none_discarded) << row.q;
    EXPECT_EQ(SamplesNeeded(row.q, 0.99, 1), row.one_discarded) << row.q;
    EXPECT_EQ(DiscardableSamples(row.one_discarded, row.q, 0.99), 1);
    EXPECT_EQ(DiscardableSamples(row.one_discarded - 1, row.q, 0.99), 0);
    EXPECT_EQ(DiscardableSamples(row.none_discarded - 1, row.q, 0.99), std::nullopt);
  }
  EXPECT_EQ(DiscardableSamples(10000, 0.99, 0.99), 77);
}

TEST(QuantileBounds, RefuseWhatTheSampleCannotSupport) {
  std::vector<double> samples(661);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<double>(i);
  const QuantileEstimate p99 = EstimateQuantile(samples, 0.99);
  EXPECT_FALSE(p99.supported);
  EXPECT_EQ(p99.samples_needed, 662);
  EXPECT_EQ(p99.high, std::nullopt);
  const QuantileEstimate p90 = EstimateQuantile(samples, 0.9);
  EXPECT_TRUE(p90.supported);
  EXPECT_LT(*p90.low, p90.value);
  EXPECT_GT(*p90.high, p90.value);
  EXPECT_EQ(EstimateQuantile(std::vector<double>{3}, 0.5).value, 3);
  // The lowest percent of 661 samples is as rare as the highest.
  const QuantileEstimate p1 = EstimateQuantile(samples, 0.01);
  EXPECT_FALSE(p1.supported);
  EXPECT_EQ(p1.samples_needed, 662);
  EXPECT_EQ(p1.low, std::nullopt);
}

// The bound holds the true quantile about as often as it promises, on a distribution with a heavy tail.
TEST(QuantileBounds, CoverTheTrueQuantile) {
  Rng rng(7);
  const double truth = std::pow(1 - 0.95, -0.5);  // p95 of a Pareto distribution with shape 2
  int covered_high = 0, covered_low = 0;
  constexpr int kRuns = 1000;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> samples(400);
    for (double& sample : samples) sample = std::pow(1 - rng.Uniform(), -0.5);
    std::ranges::sort(samples);
    const QuantileEstimate estimate = EstimateQuantile(samples, 0.95);
    covered_high += *estimate.high >= truth ? 1 : 0;
    covered_low += *estimate.low <= truth ? 1 : 0;
  }
  EXPECT_GE(covered_high, kRuns * 0.985);
  EXPECT_GE(covered_low, kRuns * 0.985);
  EXPECT_LT(covered_high, kRuns) << "a bound that never fails is too wide to be the one promised";
}

}  // namespace
}  // namespace moecap::stats
