#include "stats/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "stats/summary.h"

namespace moecap::stats {
namespace {

double MeanOf(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(BootstrapInterval, OfAMeanAgreesWithTheNormalApproximation) {
  std::vector<double> samples;
  for (int i = 0; i < 400; ++i) samples.push_back(i % 20);
  const auto interval = BootstrapInterval(samples, MeanOf);
  const auto exact = MeanAndError(samples);
  ASSERT_TRUE(interval);
  EXPECT_NEAR(interval->low, exact->mean - 1.96 * *exact->std_error, 0.03);
  EXPECT_NEAR(interval->high, exact->mean + 1.96 * *exact->std_error, 0.03);
}

TEST(BootstrapInterval, HandsOverSortedResamples) {
  const std::vector<double> samples = {5, 3, 9, 1};
  const auto interval = BootstrapInterval(samples, [](std::span<const double> sorted) {
    EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
    return Quantile(sorted, 0.5);
  });
  ASSERT_TRUE(interval);
  EXPECT_GE(interval->low, 1);
  EXPECT_LE(interval->high, 9);
}

TEST(BootstrapInterval, IsDeterministicAndFollowsTheSeed) {
  const std::vector<double> samples = {0.1, 0.7, 0.3, 0.9, 0.2};
  const auto one = BootstrapInterval(samples, MeanOf, {.resamples = 101});
  const auto two = BootstrapInterval(samples, MeanOf, {.resamples = 101});
  const auto other = BootstrapInterval(samples, MeanOf, {.resamples = 101, .seed = 7});
  EXPECT_EQ(one->low, two->low);
  EXPECT_EQ(one->high, two->high);
  EXPECT_NE(one->low, other->low);
}

TEST(BootstrapInterval, NeedsTwoSamples) {
  EXPECT_FALSE(BootstrapInterval({}, MeanOf).has_value());
  EXPECT_FALSE(BootstrapInterval(std::vector<double>{1}, MeanOf).has_value());
}

// `only_first` problems solved by the first system alone, and so on.
std::pair<std::vector<double>, std::vector<double>> Answers(int both, int only_first, int only_second, int none) {
  std::pair<std::vector<double>, std::vector<double>> scores;
  const auto add = [&](int count, double first, double second) {
    scores.first.insert(scores.first.end(), static_cast<size_t>(count), first);
    scores.second.insert(scores.second.end(), static_cast<size_t>(count), second);
  };
  add(both, 1, 1);
  add(only_first, 1, 0);
  add(only_second, 0, 1);
  add(none, 0, 0);
  return scores;
}

TEST(ComparePaired, IsMcNemarsExactTestForRightAndWrong) {
  const auto [first, second] = Answers(60, 8, 2, 30);
  const auto result = ComparePaired(first, second);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->pairs, 100);
  EXPECT_EQ(result->first_better, 8);
  EXPECT_EQ(result->second_better, 2);
  EXPECT_DOUBLE_EQ(result->mean_difference, 0.06);
  EXPECT_TRUE(result->p_value_is_exact);
  EXPECT_NEAR(result->p_value, 2 * (1 + 10 + 45) / 1024.0, 1e-12);
  // Variance of the differences: (10 - 100 x 0.06^2) / 99.
  EXPECT_NEAR(*result->std_error, std::sqrt((10 - 0.36) / 99 / 100), 1e-12);
  EXPECT_LT(result->interval->low, 0.06);
  EXPECT_GT(result->interval->high, 0.06);
}

TEST(ComparePaired, PairingSeesWhatSeparateErrorsHide) {
  // 52 and 44 of 100: 1.1 standard errors apart if taken separately, yet one system never does worse.
  const auto [first, second] = Answers(44, 8, 0, 48);
  const auto result = ComparePaired(first, second);
  EXPECT_LT(result->p_value, 0.01);
  EXPECT_GT(result->interval->low, 0);
  const double separate = std::hypot(*MeanAndError(first)->std_error, *MeanAndError(second)->std_error);
  EXPECT_LT(result->mean_difference, 2 * separate);
}

TEST(ComparePaired, EqualSystemsDoNotDiffer) {
  const auto [first, second] = Answers(5, 0, 0, 5);
  const auto result = ComparePaired(first, second);
  EXPECT_EQ(result->p_value, 1);
  EXPECT_EQ(result->mean_difference, 0);
  const auto [a, b] = Answers(5, 3, 3, 5);
  EXPECT_EQ(ComparePaired(a, b)->p_value, 1);
}

TEST(ComparePaired, GradedScoresUseSignChanges) {
  std::vector<double> first;
  std::vector<double> second;
  for (int i = 0; i < 12; ++i) {
    first.push_back(0.5 + 0.01 * i);
    second.push_back(0.5);
  }
  first[0] = 0.45;
  const auto result = ComparePaired(first, second);
  EXPECT_FALSE(result->p_value_is_exact);
  // Every pattern can be listed: 2^12.
  int as_far = 0;
  const double observed = std::abs(MeanOf(first) - MeanOf(second)) * 12;
  for (int pattern = 0; pattern < 4096; ++pattern) {
    double sum = 0;
    for (int k = 0; k < 12; ++k) sum += ((pattern >> k) & 1) != 0 ? first[k] - second[k] : second[k] - first[k];
    as_far += std::abs(sum) >= observed - 1e-12 ? 1 : 0;
  }
  EXPECT_NEAR(result->p_value, as_far / 4096.0, 0.002);
}

TEST(ComparePaired, HandlesFewPairs) {
  EXPECT_FALSE(ComparePaired({}, {}).has_value());
  const auto one = ComparePaired(std::vector<double>{1}, std::vector<double>{0});
  ASSERT_TRUE(one);
  EXPECT_FALSE(one->std_error.has_value());
  EXPECT_FALSE(one->interval.has_value());
  EXPECT_EQ(one->p_value, 1);
}

TEST(ComparePaired, StaysExactForManyProblems) {
  const auto [first, second] = Answers(0, 6000, 5800, 200);
  const double p = ComparePaired(first, second, {.resamples = 10})->p_value;
  // Normal approximation with continuity correction: z = (200 - 1) / sqrt(11800).
  EXPECT_NEAR(p, std::erfc(199 / std::sqrt(11800.0) / std::sqrt(2.0)), 5e-4);
}

}  // namespace
}  // namespace moecap::stats
