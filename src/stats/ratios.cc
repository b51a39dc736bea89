#include "stats/ratios.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "stats/summary.h"

namespace moecap::stats {
namespace {

// Below the rounding of a logarithm a spread tells nothing; it also keeps the error above 0 where all repetitions agree.
constexpr double kLeastLogError = 1e-12;
constexpr int64_t kMostRepetitions = 100000;

std::vector<double> Logs(std::span<const double> values) {
  std::vector<double> logs;
  for (const double value : values) {
    CHECK(value > 0 && std::isfinite(value));
    logs.push_back(std::log(value));
  }
  return logs;
}

RatioEstimate FromLogs(double mean, double std_error, double degrees, double confidence) {
  RatioEstimate estimate;
  estimate.ratio = std::exp(mean);
  estimate.log_std_error = std::max(std_error, kLeastLogError);
  estimate.degrees = degrees;
  const double half = TwoSidedT(degrees, confidence) * estimate.log_std_error;
  estimate.interval = {std::exp(mean - half), std::exp(mean + half)};
  const boost::math::students_t t(degrees);
  estimate.p_value = std::min(1.0, 2 * cdf(complement(t, std::abs(mean) / estimate.log_std_error)));
  return estimate;
}

}  // namespace

double TwoSidedT(double degrees, double confidence) {
  CHECK(degrees > 0 && confidence > 0 && confidence < 1);
  return quantile(boost::math::students_t(degrees), (1 + confidence) / 2);
}

std::optional<RatioEstimate> PairedRatio(std::span<const double> first, std::span<const double> second, double confidence) {
  CHECK(first.size() == second.size());
  if (first.size() < 2) return std::nullopt;
  std::vector<double> differences = Logs(first);
  const std::vector<double> others = Logs(second);
  for (size_t i = 0; i < differences.size(); ++i) differences[i] -= others[i];
  const auto mean = MeanAndError(differences);
  const auto n = static_cast<int64_t>(differences.size());
  RatioEstimate estimate = FromLogs(mean->mean, *mean->std_error, static_cast<double>(n - 1), confidence);
  estimate.n = n;
  const auto [low, high] = std::ranges::minmax(differences);
  estimate.range = {std::exp(low), std::exp(high)};
  return estimate;
}

std::optional<RatioEstimate> UnpairedRatio(std::span<const double> first, std::span<const double> second, double confidence) {
  if (first.size() < 2 || second.size() < 2) return std::nullopt;
  const auto a = MeanAndError(Logs(first));
  const auto b = MeanAndError(Logs(second));
  // Equal values have no variance and no say in the degrees of freedom, unless both have none.
  const double va = std::max(*a->std_error * *a->std_error, kLeastLogError * kLeastLogError);
  const double vb = std::max(*b->std_error * *b->std_error, kLeastLogError * kLeastLogError);
  const auto da = static_cast<double>(first.size() - 1);
  const auto db = static_cast<double>(second.size() - 1);
  const double degrees = (va + vb) * (va + vb) / (va * va / da + vb * vb / db);
  RatioEstimate estimate = FromLogs(a->mean - b->mean, std::sqrt(va + vb), degrees, confidence);
  estimate.n = static_cast<int64_t>(std::min(first.size(), second.size()));
  estimate.range = {std::ranges::min(first) / std::ranges::max(second), std::ranges::max(first) / std::ranges::min(second)};
  return estimate;
}

std::optional<int64_t> RepetitionsNeeded(const RatioEstimate& estimate, double half_width, double confidence) {
  CHECK(half_width > 0 && estimate.n >= 2);
  const auto n = static_cast<double>(estimate.n);
  const auto enough = [&](int64_t wanted) {
    const auto m = static_cast<double>(wanted);
    const double degrees = estimate.degrees * (m - 1) / (n - 1);
    return TwoSidedT(degrees, confidence) * estimate.log_std_error * std::sqrt(n / m) <= half_width;
  };
  if (!enough(kMostRepetitions)) return std::nullopt;
  int64_t few = 1;
  int64_t many = kMostRepetitions;
  while (many - few > 1) {
    const int64_t middle = few + (many - few) / 2;
    (enough(middle) ? many : few) = middle;
  }
  return many;
}

}  // namespace moecap::stats
