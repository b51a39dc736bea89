#include "stats/ratios.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "stats/random_for_test.h"

namespace moecap::stats {
namespace {

// From printed tables of Student's t.
TEST(TwoSidedT, AgreesWithTables) {
  EXPECT_NEAR(TwoSidedT(1, 0.95), 12.706, 5e-4);
  EXPECT_NEAR(TwoSidedT(4, 0.95), 2.776, 5e-4);
  EXPECT_NEAR(TwoSidedT(9, 0.99), 3.250, 5e-4);
}

TEST(PairedRatio, IsTheGeometricMeanWithAStudentInterval) {
  // Ratios 2^0, 2^1, 2^2: logs have mean log 2, standard deviation log 2, standard error log 2 / sqrt 3.
  const auto found = PairedRatio(std::vector<double>{3, 4, 20}, std::vector<double>{3, 2, 5}, 0.95);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->n, 3);
  EXPECT_NEAR(found->ratio, 2, 1e-12);
  const double half = 4.302653 * std::log(2.0) / std::sqrt(3.0);
  EXPECT_NEAR(found->interval.low, 2 * std::exp(-half), 1e-6);
  EXPECT_NEAR(found->interval.high, 2 * std::exp(half), 1e-5);
  EXPECT_NEAR(found->range.low, 1, 1e-12);
  EXPECT_NEAR(found->range.high, 4, 1e-12);
  // t = sqrt 3 with 2 degrees of freedom: p = 1 - t / sqrt(2 + t^2).
  EXPECT_NEAR(found->p_value, 1 - std::sqrt(3.0 / 5.0), 1e-12);
}

TEST(PairedRatio, TurnsRoundWithTheSystems) {
  const std::vector<double> a = {1.1, 1.3, 0.9, 1.2}, b = {1.0, 1.25, 1.1, 1.05};
  const auto ab = PairedRatio(a, b, 0.9);
  const auto ba = PairedRatio(b, a, 0.9);
  EXPECT_NEAR(ab->ratio * ba->ratio, 1, 1e-12);
  EXPECT_NEAR(ab->interval.low * ba->interval.high, 1, 1e-12);
  EXPECT_NEAR(ab->p_value, ba->p_value, 1e-12);
}

TEST(PairedRatio, NeedsTwoRepetitionsAndStandsEqualOnes) {
  EXPECT_FALSE(PairedRatio(std::vector<double>{1}, std::vector<double>{2}, 0.95));
  const auto same = PairedRatio(std::vector<double>{2, 4}, std::vector<double>{1, 2}, 0.95);
  EXPECT_NEAR(same->interval.low, 2, 1e-9);
  EXPECT_NEAR(same->interval.high, 2, 1e-9);
  EXPECT_LT(same->p_value, 1e-9);
}

TEST(PairedRatio, RemovesWhatMeetsBothSystems) {
  // Each repetition is slow or fast for both alike: paired the ratio is known, unpaired it is not.
  const std::vector<double> a = {1, 2, 4, 8, 16}, b = {1.11, 2.19, 4.41, 8.79, 17.7};
  EXPECT_LT(PairedRatio(a, b, 0.95)->interval.high, 0.92);
  EXPECT_GT(UnpairedRatio(a, b, 0.95)->interval.high, 2);
}

TEST(UnpairedRatio, IsWelchs) {
  // Logs {0, 1, 2} and {0, 3, 6, 9}: means 1 and 4.5, squared errors 1/3 and 15/4.
  const auto e = [](double x) { return std::exp(x); };
  const auto found = UnpairedRatio(std::vector<double>{e(0), e(1), e(2)}, std::vector<double>{e(0), e(3), e(6), e(9)}, 0.95);
  EXPECT_NEAR(std::log(found->ratio), -3.5, 1e-12);
  EXPECT_NEAR(found->log_std_error, std::sqrt(1.0 / 3 + 15.0 / 4), 1e-12);
  EXPECT_NEAR(found->degrees, std::pow(1.0 / 3 + 15.0 / 4, 2) / (1.0 / 18 + 225.0 / 48), 1e-12);
  EXPECT_EQ(found->n, 3);
  EXPECT_NEAR(std::log(found->range.low), -9, 1e-12);
}

TEST(RepetitionsNeeded, IsTheLeastNumberThatDecides) {
  const auto found = PairedRatio(std::vector<double>{1, 1.1, 1.2, 1, 1.1}, std::vector<double>{1, 1, 1, 1, 1}, 0.95);
  const double deviation = found->log_std_error * std::sqrt(5.0);
  const auto needed = RepetitionsNeeded(*found, 0.02, 0.95);
  ASSERT_TRUE(needed);
  const auto half = [&](int64_t n) {
    return TwoSidedT(static_cast<double>(n - 1), 0.95) * deviation / std::sqrt(static_cast<double>(n));
  };
  EXPECT_LE(half(*needed), 0.02);
  EXPECT_GT(half(*needed - 1), 0.02);
  EXPECT_FALSE(RepetitionsNeeded(*found, 1e-6, 0.95));
}

struct Noise {
  const char* name;
  double (*draw)(Rng&);
};

// 95 % means 95 %, at 5 repetitions as at 20, and with noise that is far from normal (docs/cap.md has the table).
TEST(PairedRatio, IntervalsCoverWhatTheyPromise) {
  constexpr int kRuns = 10000 / kSimulationShare;
  for (const Noise& noise : {Noise{"normal", Normal}, Noise{"t, 3 degrees", StudentT3}, Noise{"contaminated", Contaminated},
                             Noise{"sometimes slow", SometimesSlow}}) {
    for (const int repetitions : {5, 10, 20}) {
      Rng rng(1000 + repetitions);
      int covered = 0;
      for (int run = 0; run < kRuns; ++run) {
        std::vector<double> a, b;
        for (int i = 0; i < repetitions; ++i) {
          const double both = 0.1 * Normal(rng);
          a.push_back(std::exp(both + 0.02 * noise.draw(rng)));
          b.push_back(std::exp(both + 0.02 * noise.draw(rng)));
        }
        const Interval interval = PairedRatio(a, b, 0.95)->interval;
        covered += interval.low <= 1 && 1 <= interval.high ? 1 : 0;
      }
      const double share = static_cast<double>(covered) / kRuns;
      std::printf("coverage: %s, %d repetitions: %.2f %%\n", noise.name, repetitions, 100 * share);
      EXPECT_GE(share, 0.93 - (kSimulationShare > 1 ? SimulationSlack(0.93, kRuns) : 0)) << noise.name << repetitions;
      EXPECT_LE(share, 0.97 + (kSimulationShare > 1 ? SimulationSlack(0.97, kRuns) : 0)) << noise.name << repetitions;
    }
  }
}

// Two experiments of unequal spread and length.
TEST(UnpairedRatio, IntervalsCoverWhatTheyPromise) {
  constexpr int kRuns = 20000 / kSimulationShare;
  Rng rng(5);
  int covered = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> a, b;
    for (int i = 0; i < 5; ++i) a.push_back(std::exp(0.05 * Normal(rng)));
    for (int i = 0; i < 12; ++i) b.push_back(std::exp(0.02 * Normal(rng)));
    const Interval interval = UnpairedRatio(a, b, 0.95)->interval;
    covered += interval.low <= 1 && 1 <= interval.high ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(covered) / kRuns, 0.95, 0.01 + SimulationSlack(0.05, kRuns));
}

}  // namespace
}  // namespace moecap::stats
