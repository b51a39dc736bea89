// Two systems scored on the same problems: is there a difference, and how large a difference is excluded?
//
// Scores lie in 0..1 (right or wrong, or the mean over several repetitions), so differences lie in -1..1. Pairing removes the
// variation between easy and hard problems, which dominates the standard error of each system's own score.
#pragma once

#include <cstdint>
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
  // test for binary differences; else all sign changes of the differences, or 20,000 random ones where there are more (a fixed
  // seed; not less than 1 / 20,001).
  double PValue() const;

  // Score interval of the true mean difference: all values that a score test does not reject, with the variance of the
  // constrained maximum likelihood over distributions on the observed differences, -1 and 1, and the t quantile of n - 1
  // degrees of freedom. For binary differences this is Tango's interval for paired proportions (1998) but for the quantile; 0
  // discordant of n gives about +- 4 / (n + 4), never 0. Where equality is not rejected by PValue it reaches to 0 at least. One
  // bound wrongly excludes a loss of one point in at most 2.7 % (enumerated, n from 10 to 2,000; nominal 2.5 %): fit for
  // non-inferiority.
  Interval ScoreInterval(double confidence) const;

  // The same for a sample `times` as large (> 0) with the same shares: for how many problems would decide. PValueIf is the
  // normal approximation for differences that are not binary.
  Interval ScoreIntervalIf(double times, double confidence) const;
  double PValueIf(double times) const;
  // Whether the score test rejects a true mean of `mean`, -1 < mean < 1: the same as the interval without its bounds, and
  // faster.
  bool RejectsIf(double times, double mean, double confidence) const;

 private:
  struct Value {
    double difference = 0;
    double share = 0;  // of the problems
  };
  double ConstrainedVariance(double mean) const;
  double Bound(double times, double quantile, double end) const;
  double SignFlips() const;

  std::vector<Value> values_;    // ascending difference
  std::vector<double> unequal_;  // the differences that are not 0
  int64_t problems_ = 0, first_better_ = 0, second_better_ = 0;
  double mean_ = 0;
  bool binary_ = true;
};

// The fewest problems on which the judge says anything.
inline constexpr int64_t kLeastProblems = 20;

}  // namespace moecap::stats
