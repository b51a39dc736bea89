#include "stats/unseen_group.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace moecap::stats {
namespace {

using Weighted = std::vector<std::pair<double, double>>;  // value, weight

// Where `outside` of the weight lies before, `beyond` of which lies before all values. Half of a value's own weight is before
// it; between two values it grows in proportion.
template <typename Iterator>
double End(Iterator first, Iterator last, double beyond, double outside) {
  double value = first->first, share = 0, before = beyond;
  for (; first != last; ++first) {
    const double next = before + first->second / 2;
    if (next >= outside - 1e-12)
      return share > 0 ? value + (outside - share) / (next - share) * (first->first - value) : first->first;
    value = first->first;
    share = next;
    before += first->second;
  }
  return value;
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
  return Interval{End(values.begin(), values.end(), share / 2, outside),
                  End(values.rbegin(), values.rend(), share / 2, outside)};
}

}  // namespace moecap::stats
