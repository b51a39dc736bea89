#include "stats/paired_scores.h"

#include <gtest/gtest.h>

#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <vector>

#include "stats/random_for_test.h"
#include "stats/ratios.h"

namespace moecap::stats {
namespace {

// `only_first` problems solved by the first system alone, and so on.
ScoreDifferences Answers(int both, int only_first, int only_second, int none = 0) {
  std::vector<double> first, second;
  const auto add = [&](int count, double a, double b) {
    first.insert(first.end(), static_cast<size_t>(count), a);
    second.insert(second.end(), static_cast<size_t>(count), b);
  };
  add(both, 1, 1);
  add(only_first, 1, 0);
  add(only_second, 0, 1);
  add(none, 0, 0);
  return ScoreDifferences(first, second);
}

TEST(McNemar, IsExact) {
  // 2 x (1 + 10 + 45) / 1024.
  EXPECT_NEAR(McNemarExact(8, 2), 112 / 1024.0, 1e-12);
  EXPECT_NEAR(McNemarExact(0, 4), 0.125, 1e-12);
  EXPECT_EQ(McNemarExact(0, 0), 1);
  EXPECT_EQ(McNemarExact(3, 3), 1);
  EXPECT_EQ(McNemarExact(3, 4), 1);
  // Normal approximation with continuity correction: z = (200 - 1) / sqrt(11800).
  EXPECT_NEAR(McNemarExact(6000, 5800), std::erfc(199 / std::sqrt(11800.0) / std::sqrt(2.0)), 5e-4);
}

// The statistic of Tango (1998), equation (9), in closed form, for b - c of n against a difference of d.
double TangoStatistic(double b, double c, double n, double d) {
  const double linear = -b - c + (2 * n - b + c) * d;
  const double q = (std::sqrt(linear * linear + 8 * n * c * d * (1 - d)) - linear) / (4 * n);
  return (b - c - n * d) / std::sqrt(n * (2 * q + d * (1 - d)));
}

TEST(ScoreInterval, IsTangosForRightAndWrong) {
  struct Row {
    int n, b, c;
  };
  for (const Row& row : {Row{128, 12, 3}, Row{300, 1, 14}, Row{50, 25, 10}, Row{2000, 40, 31}, Row{128, 9, 0}}) {
    const Interval interval = Answers(row.n - row.b - row.c, row.b, row.c).ScoreIntervalIf(1, 0.95);
    const double t = TwoSidedT(row.n - 1, 0.95);
    if (interval.low != 0) {
      EXPECT_NEAR(TangoStatistic(row.b, row.c, row.n, interval.low), t, 1e-6) << row.n;
    }
    if (interval.high != 0) {
      EXPECT_NEAR(TangoStatistic(row.b, row.c, row.n, interval.high), -t, 1e-6) << row.n;
    }
  }
}

TEST(ScoreInterval, IsNeverZeroWide) {
  for (const int n : {50, 128, 1319}) {
    const Interval same = Answers(n, 0, 0).ScoreInterval(0.95);
    const double t2 = std::pow(TwoSidedT(n - 1, 0.95), 2);
    EXPECT_NEAR(same.high, t2 / (n + t2), 1e-9);
    EXPECT_NEAR(same.low, -same.high, 1e-9);
  }
  const Interval all = Answers(0, 128, 0).ScoreInterval(0.95);
  EXPECT_EQ(all.high, 1);
  EXPECT_LT(all.low, 0.99);
  EXPECT_GT(all.low, 0.9);
}

TEST(ScoreInterval, AgreesWithTheExactTest) {
  // 4 : 0 of 128 is p = 0.125: the interval must not leave 0 out.
  EXPECT_LE(Answers(124, 4, 0).ScoreInterval(0.95).low, 0);
  EXPECT_GT(Answers(119, 9, 0).ScoreInterval(0.95).low, 0);
}

TEST(ScoreInterval, ShrinksWithTheSample) {
  const ScoreDifferences scores = Answers(115, 8, 5);
  const Interval now = scores.ScoreIntervalIf(1, 0.95);
  const Interval four = scores.ScoreIntervalIf(4, 0.95);
  EXPECT_NEAR((now.high - now.low) / (four.high - four.low), 2, 0.2);
  // Scaled counts are the counts of the larger sample.
  EXPECT_NEAR(four.high, Answers(460, 32, 20).ScoreIntervalIf(1, 0.95).high, 1e-9);
  EXPECT_NEAR(scores.PValueIf(4), McNemarExact(32, 20), 1e-12);
}

TEST(ScoreInterval, IsWhatTheScoreTestDoesNotReject) {
  const ScoreDifferences scores = Answers(115, 12, 5);
  for (const double times : {1.0, 3.5}) {
    const Interval interval = scores.ScoreIntervalIf(times, 0.95);
    EXPECT_FALSE(scores.RejectsIf(times, interval.high - 1e-6, 0.95));
    EXPECT_TRUE(scores.RejectsIf(times, interval.high + 1e-6, 0.95));
  }
  EXPECT_TRUE(scores.RejectsIf(1, scores.ScoreIntervalIf(1, 0.95).low - 1e-6, 0.95));
}

TEST(ScoreDifferences, TakesMeansOverRepetitions) {
  std::vector<double> first, second;
  for (int i = 0; i < 60; ++i) {
    first.push_back(i % 3 == 0 ? 0.75 : 0.5);
    second.push_back(i % 5 == 0 ? 0.75 : 0.5);
  }
  const ScoreDifferences scores(first, second);
  EXPECT_FALSE(scores.is_binary());
  EXPECT_NEAR(scores.mean(), (20 - 12) * 0.25 / 60, 1e-12);
  const Interval interval = scores.ScoreInterval(0.95);
  EXPECT_LT(interval.low, 0);
  EXPECT_GT(interval.high, scores.mean());
  // With small differences in few problems the ends of the scale still count; on ten times as many it is the t interval.
  const Interval ten = scores.ScoreIntervalIf(10, 0.95);
  const double deviation = std::sqrt((24 * 0.0625 - 60 * scores.mean() * scores.mean()) / 60);
  EXPECT_NEAR((ten.high - ten.low) / (2 * TwoSidedT(599, 0.95) * deviation / std::sqrt(600.0)), 1, 0.03);
  // With equal sizes of all differences sign changes are McNemar's test.
  EXPECT_NEAR(scores.PValue(), McNemarExact(16, 8), 0.01);
}

TEST(ScoreDifferences, ListsAllSignChangesOfFew) {
  // Differences 0.5, 0.25, -0.25: sums at least 0.5 from 0 in 6 of the 8 patterns.
  const ScoreDifferences scores(std::vector<double>{0.5, 0.75, 0.25, 1}, std::vector<double>{0, 0.5, 0.5, 1});
  EXPECT_DOUBLE_EQ(scores.PValue(), 6 / 8.0);
}

double Pmf(int k, int n, double p) {
  if (p <= 0) return k == 0 ? 1 : 0;
  return pdf(boost::math::binomial(n, p), k);
}

// How often, exactly, a true loss of `loss` (only the other system right in c + loss of problems, only this one in c) is
// excluded by the bound: every outcome with its probability.
double ExclusionOf(double loss, double c, int n) {
  const double t = TwoSidedT(n - 1, 0.95);
  const double b = c + loss;
  double sum = 0;
  for (int wins = 0; wins <= n; ++wins) {
    const double win = Pmf(wins, n, c);
    if (win < 1e-12) {
      if (wins > n * c) break;
      continue;
    }
    for (int losses = 0; losses <= n - wins && TangoStatistic(losses, wins, n, loss) <= -t; ++losses) {
      sum += win * Pmf(losses, n - wins, b / (1 - c));
    }
  }
  return sum;
}

TEST(ScoreInterval, WronglyExcludesALossAsRarelyAsPromised) {
  double most = 0;
  for (const int n : {10, 20, 50, 64, 128, 300, 600, 1319, 2000}) {
    for (const double c : {0.0, 0.001, 0.005, 0.015, 0.035, 0.1, 0.25}) most = std::max(most, ExclusionOf(0.01, c, n));
  }
  EXPECT_LE(most, 0.027);
  EXPECT_GT(most, 0.024) << "a bound that is never reached is too wide";
}

// Scores that are means over three repetitions of an undecided server.
TEST(ScoreInterval, CoversGradedScores) {
  constexpr int kRuns = 1000 / kSimulationShare;
  for (const int problems : {64, 300}) {
    Rng rng(17);
    int covered = 0;
    for (int run = 0; run < kRuns; ++run) {
      std::vector<double> first, second;
      for (int i = 0; i < problems; ++i) {
        const double easy = rng.Uniform();
        const auto score = [&](double gain) {
          const double p = easy < 0.5 ? 1 : std::clamp(2 * (1 - easy) + gain, 0.0, 1.0);
          double sum = 0;
          for (int k = 0; k < 3; ++k) sum += rng.Uniform() < p ? 1 : 0;
          return sum / 3;
        };
        first.push_back(score(0));
        second.push_back(score(0));
      }
      const Interval interval = ScoreDifferences(first, second).ScoreIntervalIf(1, 0.95);
      covered += interval.low <= 0 && 0 <= interval.high ? 1 : 0;
    }
    EXPECT_NEAR(static_cast<double>(covered) / kRuns, 0.95, 0.015 + SimulationSlack(0.05, kRuns)) << problems;
  }
}

}  // namespace
}  // namespace moecap::stats
