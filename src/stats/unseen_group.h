// Where a value of a group that nobody has seen yet lies, from values of other groups, after hierarchical conformal prediction
// (Lee, Barber and Willett, arXiv 2306.06342). Values of one group are alike, so that many of them say little about another
// group: each of the K groups weighs 1 / (K + 1), shared evenly by its values, and as much is the group's to come, half of it
// below all values and half above.
//
// Conformal prediction puts that weight whole on either side and ends at the next value outwards, which holds what is asked or
// more: of 15 groups 87.5 % where 80 are asked. Here a new group's values lie inside as often as is asked, on average: exactly
// so for uniform values, up to some 3 % more often where tails are long.
#pragma once

#include <optional>
#include <vector>

#include "stats/interval.h"

namespace moecap::stats {

// An interval with `outside` of the weight below it and as much above. None: fewer than 1 / outside - 1 groups, which say
// nothing at that level. Requires 0 < outside < 0.5 and groups that are not empty.
std::optional<Interval> UnseenGroupInterval(const std::vector<std::vector<double>>& groups, double outside);

}  // namespace moecap::stats
