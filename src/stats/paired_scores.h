// Two systems scored on the same problems: is there a difference, and how large a difference is excluded?
//
// Scores lie in 0..1 (right or wrong, or the mean over several repetitions), so differences lie in -1..1. Pairing removes the
// variation between easy and hard problems, which dominates the standard error of each system's own score.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/interval.h"

namespace moecap::stats {

// McNemar's exact test: the two-sided probability of a split at least as uneven as `first_only` against `second_only` if both
// were equally likely, P(|Bin(b + c, 1/2) - (b + c) / 2| >= |b - c| / 2). 1 without discordant problems. Counts >= 0.
double McNemarExact(int64_t first_only, int64_t second_only);

// The differences of one score per problem, as a weighted set of values (few distinct ones: -1, 0, 1 for right and wrong).
class ScoreDifferences {
 public:
  // Requires equally many scores, 0..1, at least one.
  ScoreDifferences(std::span<const double> first, std::span<const double> second);

  int64_t problems() const { return problems_; }
  int64_t first_better() const { return first_better_; }
  int64_t second_better() const { return second_better_; }
  double mean() const { return mean_; }       // mean(first) - mean(second)
  bool is_binary() const { return binary_; }  // every difference is -1, 0 or 1

  // Two-sided probability of a mean difference at least this large if the systems were equal on every problem: McNemar's exact
  // test for binary differences, else 20,000 random sign changes (not less than 1 / 20,001; a fixed seed).
  double PValue() const;

  // Score interval of the true mean difference: all values that a score test does not reject, with the variance of the
  // constrained maximum likelihood over distributions on the observed differences, -1 and 1. For binary differences this is
  // Tango's interval for paired proportions (Tango 1998); 0 discordant of n gives +- z^2 / (n + z^2), never 0. Its one-sided
  // error is tested (paired_scores_test.cc). Fit for non-inferiority from kLeastProblems problems on.
  Interval ScoreInterval(double confidence) const;

  // The same on a sample `times` as large (> 0) with the same shares: for how many problems would decide. PValueIf is
  // the normal approximation for differences that are not binary.
  Interval ScoreIntervalIf(double times, double confidence) const;
  double PValueIf(double times) const;

 private:
  struct Value {
    double difference = 0;
    double count = 0;
  };
  double ScoreStatistic(double mean, double times) const;

  std::vector<Value> values_;  // ascending difference
  std::vector<double> nonzero_;
  int64_t problems_ = 0, first_better_ = 0, second_better_ = 0;
  double mean_ = 0;
  bool binary_ = true;
};

// Below, the one-sided error of the score interval is not assured.
inline constexpr int64_t kLeastProblems = 20;

}  // namespace moecap::stats
