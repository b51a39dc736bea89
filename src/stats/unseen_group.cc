#include "stats/unseen_group.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace moecap::stats {
namespace {

using Weighted = std::vector<std::pair<double, double>>;  // value, weight

// The first value that has at most `outside` of the weight before it, `beyond` of which is before all of them.
template <typename Iterator>
double End(Iterator first, Iterator last, double beyond, double outside) {
  double before = beyond;
  while (first + 1 != last && before + first->second <= outside + 1e-12) before += (first++)->second;
  return first->first;
}

}  // namespace

std::optional<Interval> UnseenGroupInterval(const std::vector<std::vector<double>>& groups, double outside) {
  CHECK(outside > 0 && outside < 0.5);
  const double share = 1 / static_cast<double>(groups.size() + 1);
  if (share > outside + 1e-12) return std::nullopt;
  Weighted values;
  for (const std::vector<double>& group : groups) {
    CHECK(!group.empty());
    for (const double value : group) values.emplace_back(value, share / static_cast<double>(group.size()));
  }
  std::sort(values.begin(), values.end());
  return Interval{End(values.begin(), values.end(), share, outside), End(values.rbegin(), values.rend(), share, outside)};
}

}  // namespace moecap::stats
