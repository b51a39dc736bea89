// Where a value of a group that nobody has seen yet lies, from values of other groups: hierarchical conformal prediction (Lee,
// Barber and Willett, arXiv 2306.06342). Values of one group are alike, so that many of them say little about another group:
// each of the K groups weighs 1 / (K + 1), shared evenly by its values, and as much lies beyond all values, for the group to
// come.
#pragma once

#include <optional>
#include <vector>

#include "stats/interval.h"

namespace moecap::stats {

// An interval with at most `outside` of the weight below it and at most as much above. None: fewer than 1 / outside - 1 groups,
// which say nothing at that level. Requires 0 < outside < 0.5 and groups that are not empty.
std::optional<Interval> UnseenGroupInterval(const std::vector<std::vector<double>>& groups, double outside);

}  // namespace moecap::stats
