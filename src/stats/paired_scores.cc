#include "stats/paired_scores.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <cstdint>
#include <map>

#include "base/check.h"
#include "base/rng.h"
#include "stats/ratios.h"

namespace moecap::stats {
namespace {

constexpr int kBisections = 40;
constexpr int kSignChanges = 20000;
constexpr size_t kMostListed = 14;  // 2^14 patterns are fewer than the random ones

// 2 P(Bin(b + c, 1/2) <= min(b, c)), at most 1; the incomplete beta function continues it to counts that are not whole.
double TwoSidedBinomial(double first_only, double second_only) {
  const double fewer = std::min(first_only, second_only);
  const double more = std::max(first_only, second_only);
  if (more <= fewer) return 1;
  return std::min(1.0, 2 * boost::math::ibeta(more, fewer + 1, 0.5));
}

}  // namespace

double McNemarExact(int64_t first_only, int64_t second_only) {
  CHECK(first_only >= 0 && second_only >= 0);
  return TwoSidedBinomial(static_cast<double>(first_only), static_cast<double>(second_only));
}

ScoreDifferences::ScoreDifferences(std::span<const double> first, std::span<const double> second) {
  CHECK(first.size() == second.size() && !first.empty());
  problems_ = std::ssize(first);
  std::map<double, int64_t> counts;
  for (size_t i = 0; i < first.size(); ++i) {
    CHECK(first[i] >= 0 && first[i] <= 1 && second[i] >= 0 && second[i] <= 1);
    const double difference = first[i] - second[i];
    ++counts[difference];
    if (difference == 0) continue;
    unequal_.push_back(difference);
    (difference > 0 ? first_better_ : second_better_) += 1;
    binary_ &= std::abs(difference) == 1;
  }
  for (const auto& [difference, count] : counts) {
    values_.push_back({difference, static_cast<double>(count) / static_cast<double>(problems_)});
    mean_ += difference * values_.back().share;
  }
}

double ScoreDifferences::SignFlips() const {
  double observed = 0;
  for (const double difference : unequal_) observed += difference;
  // Sums that differ only by rounding count as equal.
  const double threshold = std::abs(observed) * (1 - 1e-12);
  const auto as_far = [&](auto&& bits_of) {
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < unequal_.size(); ++i) {
      if (i % 64 == 0) bits = bits_of();
      sum += (bits >> (i % 64) & 1) != 0 ? unequal_[i] : -unequal_[i];
    }
    return std::abs(sum) >= threshold ? 1 : 0;
  };
  if (unequal_.size() <= kMostListed) {
    const uint64_t patterns = uint64_t{1} << unequal_.size();
    int64_t count = 0;
    for (uint64_t pattern = 0; pattern < patterns; ++pattern) count += as_far([&] { return pattern; });
    return static_cast<double>(count) / static_cast<double>(patterns);
  }
  Rng rng(20240731);
  int64_t count = 0;
  for (int i = 0; i < kSignChanges; ++i) count += as_far([&] { return rng.Next(); });
  return static_cast<double>(count + 1) / (kSignChanges + 1);
}

double ScoreDifferences::PValue() const { return binary_ ? McNemarExact(first_better_, second_better_) : SignFlips(); }

double ScoreDifferences::PValueIf(double times) const {
  CHECK(times > 0);
  if (binary_) return TwoSidedBinomial(times * static_cast<double>(first_better_), times * static_cast<double>(second_better_));
  double squares = 0;
  for (const Value& value : values_) squares += value.share * value.difference * value.difference;
  const double z = std::abs(mean_) * std::sqrt(times * static_cast<double>(problems_) / squares);
  return 2 * cdf(complement(boost::math::normal(), z));
}

// The likelihood's maximum under the constraint that the mean be `mean`: shares share_j / (1 + mu x_j), with x_j the distance
// from `mean` and mu such that they balance. Where no mu does before an end of -1..1 would get a negative share, the end
// takes what is missing.
double ScoreDifferences::ConstrainedVariance(double mean) const {
  double low = -1 / (1 - mean);
  double high = 1 / (1 + mean);
  const auto balance = [&](double mu) {
    double sum = 0;
    for (const Value& value : values_) {
      const double x = value.difference - mean;
      sum += value.share * x / std::max(1 + mu * x, 1e-300);
    }
    return sum;
  };
  const double end = mean > mean_ ? 1 : -1;
  double mu = end > 0 ? low : high;
  if (balance(low) > 0 && balance(high) < 0) {
    for (int i = 0; i < kBisections; ++i) {
      mu = (low + high) / 2;
      (balance(mu) > 0 ? low : high) = mu;
    }
  }
  double variance = 0;
  double missing = 1;
  for (const Value& value : values_) {
    const double x = value.difference - mean;
    const double share = value.share / std::max(1 + mu * x, 1e-300);
    missing -= share;
    variance += share * x * x;
  }
  return variance + std::max(0.0, missing) * (end - mean) * (end - mean);
}

// The farthest mean from the observed one towards `end` that is not rejected.
double ScoreDifferences::Bound(double times, double quantile, double end) const {
  const double n = times * static_cast<double>(problems_);
  double kept = mean_;
  double rejected = end;
  for (int i = 0; i < kBisections && kept != rejected; ++i) {
    const double middle = (kept + rejected) / 2;
    if (middle <= -1 || middle >= 1) break;
    const double distance = mean_ - middle;
    (n * distance * distance <= quantile * quantile * ConstrainedVariance(middle) ? kept : rejected) = middle;
  }
  return kept;
}

bool ScoreDifferences::RejectsIf(double times, double mean, double confidence) const {
  CHECK(times > 0 && mean > -1 && mean < 1);
  const double n = times * static_cast<double>(problems_);
  if (n <= 1 || mean == mean_) return false;
  const double quantile = TwoSidedT(n - 1, confidence);
  return n * (mean_ - mean) * (mean_ - mean) > quantile * quantile * ConstrainedVariance(mean);
}

Interval ScoreDifferences::ScoreIntervalIf(double times, double confidence) const {
  CHECK(times > 0 && confidence > 0 && confidence < 1);
  const double degrees = times * static_cast<double>(problems_) - 1;
  if (degrees <= 0) return {-1, 1};
  const double quantile = TwoSidedT(degrees, confidence);
  Interval interval{Bound(times, quantile, -1), Bound(times, quantile, 1)};
  if (PValueIf(times) > 1 - confidence) interval = {std::min(interval.low, 0.0), std::max(interval.high, 0.0)};
  return interval;
}

Interval ScoreDifferences::ScoreInterval(double confidence) const {
  Interval interval = ScoreIntervalIf(1, confidence);
  if (PValue() > 1 - confidence) interval = {std::min(interval.low, 0.0), std::max(interval.high, 0.0)};
  return interval;
}

}  // namespace moecap::stats
