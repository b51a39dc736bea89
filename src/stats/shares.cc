#include "stats/shares.h"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "base/check.h"

namespace moecap::stats {

Interval WilsonInterval(double k, double n, double confidence) {
  CHECK(n > 0 && k >= 0 && k <= n && confidence > 0 && confidence < 1);
  const double z = quantile(boost::math::normal(), (1 + confidence) / 2);
  const double share = k / n;
  const double middle = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  // At the ends the bound is the share itself, but for rounding.
  return {k > 0 ? std::max(0.0, middle - half) : 0, k < n ? std::min(1.0, middle + half) : 1};
}

Interval WilsonIntervalOfMean(double mean, std::optional<double> std_error, int64_t items, double confidence) {
  constexpr double kRounding = 1e-9;
  const auto n = static_cast<double>(items);
  const double largest = mean * (1 - mean) / (n - 1);  // the square of the error of right and wrong
  if (!std_error || items < 2 || largest <= 0) return WilsonInterval(mean * n, n, confidence);
  const double squared = (n * *std_error * *std_error + largest) / (n + 1);
  const double trials = n * largest / squared;
  const double effective = std::abs(trials - n) < kRounding * n ? n : trials;
  return WilsonInterval(mean * effective, effective, confidence);
}

Interval ClopperPearsonInterval(double k, double n, double confidence) {
  CHECK(n > 0 && k >= 0 && k <= n && confidence > 0 && confidence < 1);
  using boost::math::beta_distribution;
  const double tail = (1 - confidence) / 2;
  Interval interval{0, 1};
  if (k > 0) interval.low = quantile(beta_distribution<>(k, n - k + 1), tail);
  if (k < n) interval.high = quantile(beta_distribution<>(k + 1, n - k), 1 - tail);
  return interval;
}

}  // namespace moecap::stats
