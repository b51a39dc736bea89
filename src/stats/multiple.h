// Several tests at once.
#pragma once

#include <span>
#include <vector>

namespace moecap::stats {

// Holm's procedure (1979): adjusted p-values in the order given. Rejecting where the adjusted value is at most alpha rejects a
// true hypothesis in at most alpha of families, whatever the dependence between the tests.
std::vector<double> HolmAdjusted(std::span<const double> p_values);

}  // namespace moecap::stats
