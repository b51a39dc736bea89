#include "workload/arrivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "stats/summary.h"

namespace moecap::workload {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

std::vector<double> Gaps(const std::vector<double>& times) {
  std::vector<double> gaps;
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  return gaps;
}

TEST(Arrivals, ConstantGapsStartAtOnce) {
  ArrivalProcess process{.gaps = GapShape::kConstant, .rate_per_s = 4};
  EXPECT_THAT(*ScheduleArrivals(process, 5), ElementsAre(0, 0.25, 0.5, 0.75, 1));
  process.burst = 2;
  EXPECT_THAT(*ScheduleArrivals(process, 5), ElementsAre(0, 0, 0.5, 0.5, 1));
}

TEST(Arrivals, StepsPausesAndRampsByHand) {
  // 2/s for 1 s, nothing for 3 s, then 0 to 4/s in 2 s (t^2 requests after t seconds), then 1/s.
  const ArrivalProcess process{.gaps = GapShape::kConstant, .ramp = {{1, 2, 2}, {3, 0, 0}, {2, 0, 4}}, .rate_per_s = 1};
  const std::vector<double> expected = {0, 0.5, 1, 5, 4 + std::sqrt(2), 4 + std::sqrt(3), 6, 7, 8};
  EXPECT_THAT(*ScheduleArrivals(process, 9), Pointwise(DoubleNear(1e-12), expected));
  EXPECT_DOUBLE_EQ(ExpectedRequests(process, 0.5), 1);
  EXPECT_DOUBLE_EQ(ExpectedRequests(process, 5), 3);
  EXPECT_DOUBLE_EQ(ExpectedRequests(process, 8), 8);
}

TEST(Arrivals, FallingRampUsesItsLastRequest) {
  const ArrivalProcess process{.gaps = GapShape::kConstant, .ramp = {{2, 4, 0}}, .rate_per_s = 10};
  // 4 t - t^2 = 1, 2, 3, 4.
  const std::vector<double> expected = {0, 2 - std::sqrt(3), 2 - std::sqrt(2), 1, 2, 2.1};
  EXPECT_THAT(*ScheduleArrivals(process, 6), Pointwise(DoubleNear(1e-12), expected));
}

// Mean and variance of the gaps against the distributions' own: 1/k for gamma, and Weibull's by the gamma function.
TEST(Arrivals, GapsHaveTheirDistributionsMoments) {
  struct Case {
    GapShape gaps;
    double shape, variance;
  };
  const auto weibull = [](double k) { return std::tgamma(1 + 2 / k) / std::pow(std::tgamma(1 + 1 / k), 2) - 1; };
  for (const Case& c : {Case{GapShape::kExponential, 1, 1}, Case{GapShape::kGamma, 0.25, 4}, Case{GapShape::kGamma, 4, 0.25},
                        Case{GapShape::kWeibull, 0.7, weibull(0.7)}, Case{GapShape::kWeibull, 2, weibull(2)}}) {
    const ArrivalProcess process{.gaps = c.gaps, .shape = c.shape, .rate_per_s = 50, .seed = 11};
    const auto gaps = stats::Describe(Gaps(*ScheduleArrivals(process, 200'000)));
    EXPECT_NEAR(gaps->mean * 50, 1, 0.015) << c.shape;
    EXPECT_NEAR(std::pow(gaps->stddev * 50, 2), c.variance, 0.05 * c.variance) << c.shape;
  }
}

// Kolmogorov and Smirnov: the exponential distribution and no other one. 1.63 / sqrt(n) is the 1 % critical value.
TEST(Arrivals, PoissonGapsAreExponential) {
  const ArrivalProcess process{.rate_per_s = 100, .seed = 3};
  std::vector<double> gaps = Gaps(*ScheduleArrivals(process, 20'001));
  std::ranges::sort(gaps);
  double distance = 0;
  for (size_t i = 0; i < gaps.size(); ++i) {
    const double truth = 1 - std::exp(-100 * gaps[i]);
    distance = std::max(
        {distance, std::abs(truth - static_cast<double>(i) / 20'000), std::abs(truth - static_cast<double>(i + 1) / 20'000)});
  }
  EXPECT_LT(distance, 1.63 / std::sqrt(20'000));
}

// A ramp thins and thickens a process without changing what it is: on the scale of expected requests its gaps have mean 1.
TEST(Arrivals, RampsKeepTheExpectedCounts) {
  const ArrivalProcess process{.ramp = {{10, 0, 1000}, {5, 1000, 1000}, {10, 1000, 10}}, .rate_per_s = 10, .seed = 5};
  const std::vector<double> times = *ScheduleArrivals(process, 15'000);
  for (const double time_s : {5.0, 10.0, 15.0, 20.0}) {
    const auto sent = static_cast<double>(std::ranges::upper_bound(times, time_s) - times.begin());
    const double expected = ExpectedRequests(process, time_s);
    EXPECT_NEAR(sent, expected, 4 * std::sqrt(expected)) << time_s;
  }
}

TEST(Arrivals, DependOnTheSeedAlone) {
  ArrivalProcess process{.gaps = GapShape::kGamma, .shape = 0.5, .rate_per_s = 3, .seed = 1};
  const auto first = *ScheduleArrivals(process, 100);
  EXPECT_EQ(*ScheduleArrivals(process, 100), first);
  const auto fewer = *ScheduleArrivals(process, 60);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), first.begin())) << "the count must not rescale the schedule";
  process.seed = 2;
  EXPECT_NE(*ScheduleArrivals(process, 100), first);
}

TEST(Arrivals, RefuseImpossibleProcesses) {
  EXPECT_THAT(ScheduleArrivals({.rate_per_s = 0}, 1).error().message, HasSubstr("rate of 0"));
  EXPECT_THAT(ScheduleArrivals({.shape = -1}, 1).error().message, HasSubstr("shape -1"));
  EXPECT_THAT(ScheduleArrivals({.burst = 0}, 1).error().message, HasSubstr("burst of 0"));
  EXPECT_THAT(ScheduleArrivals({.ramp = {{0, 1, 1}}}, 1).error().message, HasSubstr("in 0 s"));
  EXPECT_THAT(ScheduleArrivals({}, -1).error().message, HasSubstr("-1 requests"));
}

TEST(Arrivals, BurstinessIsThatOfAGammaDistribution) {
  EXPECT_EQ(Burstiness({.gaps = GapShape::kExponential, .shape = 3}), 1);
  EXPECT_EQ(Burstiness({.gaps = GapShape::kGamma, .shape = 0.5}), 0.5);
  EXPECT_EQ(Burstiness({.gaps = GapShape::kConstant}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(Burstiness({.gaps = GapShape::kWeibull, .shape = 0.5}), std::nullopt);
  EXPECT_EQ(Burstiness({.gaps = GapShape::kWeibull, .shape = 1}), 1);
  EXPECT_EQ(Burstiness({.gaps = GapShape::kGamma, .shape = 2, .burst = 4}), std::nullopt);
}

}  // namespace
}  // namespace moecap::workload
