#include "workload/value_distribution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "stats/summary.h"
#include "workload/make_requests.h"

namespace moecap::workload {
namespace {

using testing::HasSubstr;

constexpr ValueDistribution kUniform = {DistributionShape::kUniform, 0, 0, 3, 12};
constexpr ValueDistribution kNormal = {DistributionShape::kNormal, 100, 20, 0, 1000};
constexpr ValueDistribution kCutNormal = {DistributionShape::kNormal, 100, 50, 90, 150};
constexpr ValueDistribution kLognormal = {DistributionShape::kLognormal, 500, 300, 1, 1e6};
constexpr ValueDistribution kExponential = {DistributionShape::kExponential, 8, 0, 0, 40};

std::vector<double> Draw(const ValueDistribution& distribution, int count, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values) value = DrawReal(distribution, rng);
  return values;
}

// sqrt(n) times the Kolmogorov-Smirnov distance; above 1.95 with a probability of 0.001.
double KolmogorovSmirnov(std::vector<double> values, const ValueDistribution& distribution) {
  std::ranges::sort(values);
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = CumulativeProbability(distribution, values[i]);
    distance = std::max({distance, expected - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - expected});
  }
  return distance * std::sqrt(n);
}

TEST(Draws, FollowTheirDistribution) {
  for (const ValueDistribution& distribution : {kUniform, kNormal, kCutNormal, kLognormal, kExponential}) {
    ASSERT_TRUE(CheckDistribution(distribution).ok());
    EXPECT_LT(KolmogorovSmirnov(Draw(distribution, 20000), distribution), 1.95) << Describe(distribution);
    EXPECT_GT(KolmogorovSmirnov(Draw(distribution, 20000), distribution), 0.2) << Describe(distribution);
  }
}

TEST(Draws, TheTestTellsNearDistributionsApart) {
  ValueDistribution wider = kNormal, higher = kLognormal;
  wider.stddev *= 1.1;
  higher.mean *= 1.05;
  EXPECT_GT(KolmogorovSmirnov(Draw(wider, 20000), kNormal), 1.95);
  EXPECT_GT(KolmogorovSmirnov(Draw(higher, 20000), kLognormal), 1.95);
}

// The moments, which no formula of ours goes into.
TEST(Draws, HaveTheMeanAndDeviationAskedFor) {
  const auto normal = stats::Describe(Draw(kNormal, 50000));
  EXPECT_NEAR(normal->mean, 100, 0.4);
  EXPECT_NEAR(normal->stddev, 20, 0.3);
  const auto lognormal = stats::Describe(Draw(kLognormal, 50000));
  EXPECT_NEAR(lognormal->mean, 500, 6);
  EXPECT_NEAR(lognormal->stddev, 300, 12);
  // Exponential of mean 8, cut at 40: 8 - 40 / (e^5 - 1) = 7.7287.
  EXPECT_NEAR(stats::Describe(Draw(kExponential, 50000))->mean, 7.7287, 0.12);
}

TEST(Probability, IsThatOfTables) {
  EXPECT_NEAR(CumulativeProbability(kNormal, 120), 0.8413447, 1e-6);  // one deviation above the mean
  EXPECT_NEAR(CumulativeProbability({DistributionShape::kExponential, 8, 0, 0, 1e9}, 8), 1 - std::exp(-1), 1e-12);
  // The median of a lognormal is mean / sqrt(1 + (stddev / mean)^2) = 500 / sqrt(1.36).
  EXPECT_NEAR(CumulativeProbability(kLognormal, 500 / std::sqrt(1.36)), 0.5, 1e-4);
  EXPECT_EQ(CumulativeProbability(kUniform, 7.5), 0.5);
  EXPECT_EQ(CumulativeProbability(kCutNormal, 89), 0);
  EXPECT_EQ(CumulativeProbability(kCutNormal, 150), 1);
  EXPECT_EQ(CumulativeProbability(FixedValue(4), 3.9), 0);
  EXPECT_EQ(CumulativeProbability(FixedValue(4), 4), 1);
}

// 10 values, 9 degrees of freedom: chi-square above 33 has a probability of 1.3e-4.
TEST(Draws, WholeNumbersOfARangeAreEquallyLikely) {
  Rng rng(5);
  std::vector<double> counts(10);
  for (int i = 0; i < 50000; ++i) {
    const int64_t value = DrawInteger(kUniform, rng);
    ASSERT_TRUE(value >= 3 && value <= 12);
    ++counts[static_cast<size_t>(value - 3)];
  }
  double chi_square = 0;
  for (const double count : counts) chi_square += (count - 5000) * (count - 5000) / 5000;
  EXPECT_LT(chi_square, 33);
  EXPECT_GT(chi_square, 0.5);
}

// The lengths of whole requests, input and output. A length k stands for all draws that are rounded to it, so that the range
// and P(length <= k) reach to k + 1/2.
TEST(Lengths, OfRequestsFollowTheDistribution) {
  WorkloadConfig config;
  config.input_tokens = {DistributionShape::kLognormal, 60, 40, 1, 400};
  config.output_tokens = ValueDistribution{DistributionShape::kExponential, 30, 0, 1, 300};
  config.requests = 20000;
  const auto set = MakeRequests(config);
  ASSERT_TRUE(set.ok());
  std::vector<double> below_input(401), below_output(301);
  for (const PlannedPrompt& prompt : set->prompts) {
    ++below_input[prompt.token_ids.size()];
    ++below_output[static_cast<size_t>(prompt.output_tokens)];
  }
  const auto distance = [&](const std::vector<double>& counts, ValueDistribution distribution) {
    distribution.min -= 0.5;
    distribution.max += 0.5;
    double worst = 0, sum = 0;
    for (size_t k = 0; k < counts.size(); ++k) {
      sum += counts[k] / 20000;
      worst = std::max(worst, std::abs(sum - CumulativeProbability(distribution, static_cast<double>(k) + 0.5)));
    }
    return worst * std::sqrt(20000.0);
  };
  EXPECT_LT(distance(below_input, config.input_tokens), 1.95);
  EXPECT_LT(distance(below_output, *config.output_tokens), 1.95);
}

TEST(Check, NamesWhatIsImpossible) {
  const auto message = [](const ValueDistribution& distribution) {
    const Status status = CheckDistribution(distribution);
    return status.ok() ? "" : status.error().message;
  };
  constexpr auto kShape = DistributionShape::kNormal;
  EXPECT_EQ(message(FixedValue(7)), "");
  EXPECT_THAT(message({kShape, 100, 10, 200, 300}), HasSubstr("mean 100 is outside 200..300"));
  EXPECT_THAT(message({kShape, 100, 0, 1, 300}), HasSubstr("stddev is 0"));
  EXPECT_THAT(message({kShape, 100, 10, 300, 1}), HasSubstr("min 300 is above max 1"));
  EXPECT_THAT(message({kShape, 100, 1e6, 99, 101}), HasSubstr("less than 1 %"));
  EXPECT_THAT(message({kShape, std::numeric_limits<double>::infinity(), 10, 1, 300}), HasSubstr("finite"));
  EXPECT_THAT(message({DistributionShape::kExponential, 0, 0, 0, 300}), HasSubstr("mean is 0"));
  EXPECT_THAT(message({DistributionShape::kLognormal, -5, 1, -10, 300}), HasSubstr("mean is -5"));
}

}  // namespace
}  // namespace moecap::workload
