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
