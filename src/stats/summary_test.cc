#include "stats/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace moecap::stats {
namespace {

TEST(Quantile, InterpolatesBetweenOrderStatistics) {
  // By hand, type 7: position = q (n - 1).
  const std::vector<double> sorted = {1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.5), 3);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.9), 6.8);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 1), 8);
}

TEST(Quantile, OfOneSampleIsThatSample) {
  const std::vector<double> one = {42};
  for (const double q : {0.0, 0.5, 0.99, 1.0}) EXPECT_EQ(Quantile(one, q), 42);
}

TEST(Quantile, StaysBetweenItsNeighbours) {
  const std::vector<double> sorted = {0.1, 0.1, 0.1, 0.3, 0.3};
  for (int i = 0; i <= 1000; ++i) {
    const double value = Quantile(sorted, i / 1000.0);
    EXPECT_GE(value, 0.1);
    EXPECT_LE(value, 0.3);
  }
}

TEST(Describe, HasNothingToSayAboutNoSamples) { EXPECT_FALSE(Describe({}).has_value()); }

TEST(Describe, OneSampleHasNoSpread) {
  const auto result = Describe(std::vector<double>{2.5});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->count, 1);
  EXPECT_EQ(result->stddev, 0);
  EXPECT_EQ(result->min, 2.5);
  EXPECT_EQ(result->p99, 2.5);
}

TEST(Describe, SortsItsOwnCopy) {
  const std::vector<double> samples = {8, 1, 4, 2};
  const auto result = Describe(samples);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->count, 4);
  EXPECT_DOUBLE_EQ(result->mean, 3.75);
  // Deviations 4.25, -2.75, 0.25, -1.75: squares sum to 28.75.
  EXPECT_DOUBLE_EQ(result->stddev, std::sqrt(28.75 / 3));
  EXPECT_EQ(result->min, 1);
  EXPECT_DOUBLE_EQ(result->p50, 3);
  EXPECT_DOUBLE_EQ(result->p90, 6.8);
  EXPECT_DOUBLE_EQ(result->p99, 7.88);
  EXPECT_EQ(result->max, 8);
  EXPECT_THAT(samples, testing::ElementsAre(8, 1, 4, 2));
}

TEST(Describe, KeepsASmallSpreadOnALargeMean) {
  const auto result = Describe(std::vector<double>{1e9 + 1, 1e9 + 2, 1e9 + 3});
  ASSERT_TRUE(result);
  EXPECT_NEAR(result->stddev, 1, 1e-9);
}

TEST(MeanAndError, OfZeroesAndOnesIsTheBinomialErrorOverNMinusOne) {
  std::vector<double> scores(100, 0.0);
  for (int i = 0; i < 30; ++i) scores[i] = 1;
  const auto result = MeanAndError(scores);
  ASSERT_TRUE(result);
  EXPECT_DOUBLE_EQ(result->mean, 0.3);
  ASSERT_TRUE(result->std_error);
  EXPECT_NEAR(*result->std_error, std::sqrt(0.3 * 0.7 / 99), 1e-15);
}

TEST(MeanAndError, IsNullWhereItIsNotDefined) {
  EXPECT_FALSE(MeanAndError({}).has_value());
  const auto one = MeanAndError(std::vector<double>{1});
  ASSERT_TRUE(one);
  EXPECT_FALSE(one->std_error.has_value());
}

TEST(DescribeRepeats, GivesRangeAndError) {
  EXPECT_FALSE(DescribeRepeats({}).has_value());
  const auto result = DescribeRepeats(std::vector<double>{10, 14, 12});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->repeats, 3);
  EXPECT_DOUBLE_EQ(result->mean, 12);
  EXPECT_EQ(result->min, 10);
  EXPECT_EQ(result->max, 14);
  ASSERT_TRUE(result->stderr_of_mean);
  EXPECT_DOUBLE_EQ(*result->stderr_of_mean, 2 / std::sqrt(3));
}

}  // namespace
}  // namespace moecap::stats
