// What a placement of experts makes of their loads, for its tests and its benchmark. The planner counts whole tokens instead
// (planner/expert_balance.h).
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "routing/expert_placement.h"

namespace moecap::routing {

// Load of each rank when replicas share their expert's load evenly.
inline std::vector<double> RankLoads(const ExpertPlacement& placement, std::span<const double> load) {
  const std::vector<int> replicas = placement.Replicas(static_cast<int>(load.size()));
  std::vector<double> loads(static_cast<size_t>(placement.ranks));
  for (size_t place = 0; place < placement.expert_of.size(); ++place) {
    const auto expert = static_cast<size_t>(placement.expert_of[place]);
    loads[static_cast<size_t>(placement.RankOf(place))] += load[expert] / replicas[expert];
  }
  return loads;
}

// The heaviest rank's load against the mean; 1 = balanced, and for no load at all.
inline double MaxOverMean(std::span<const double> loads) {
  const double sum = std::accumulate(loads.begin(), loads.end(), 0.0);
  if (sum <= 0) return 1;
  return *std::max_element(loads.begin(), loads.end()) * static_cast<double>(loads.size()) / sum;
}

}  // namespace moecap::routing
