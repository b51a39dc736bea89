#include "cap/pareto.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "cap/lead.h"

namespace moecap::cap {
namespace {

bool IsComplete(const CapInput& input) {
  return std::all_of(kDimensions.begin(), kDimensions.end(),
                     [&](Dimension dimension) { return ValueOf(input, dimension).has_value(); });
}

// `winner` leads somewhere and is led nowhere, beyond noise.
bool DominatesBeyondNoise(const CapInput& winner, const CapInput& loser, const ScoreOptions& options) {
  const auto leads = [&](const CapInput& ahead, const CapInput& behind) {
    return std::any_of(kDimensions.begin(), kDimensions.end(),
                       [&](Dimension dimension) { return LeadOver(behind, ahead, dimension, options).has_value(); });
  };
  return leads(winner, loser) && !leads(loser, winner);
}

}  // namespace

bool Dominates(const ParetoPoint& a, const ParetoPoint& b) {
  CHECK(a.size() == b.size());
  bool below = false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    below |= a[i] < b[i];
  }
  return below;
}

std::vector<bool> ParetoFront(std::span<const ParetoPoint> points) {
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // In lexicographic order no later point can dominate an earlier one.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return points[a] < points[b]; });
  std::vector<bool> on_front(points.size(), false);
  std::vector<size_t> front;
  for (const size_t candidate : order) {
    const bool beaten =
        std::any_of(front.begin(), front.end(), [&](size_t member) { return Dominates(points[member], points[candidate]); });
    if (beaten) continue;
    on_front[candidate] = true;
    front.push_back(candidate);
  }
  return on_front;
}

std::vector<ParetoEntry> CapFront(std::span<const CapInput> inputs, const ScoreOptions& options) {
  std::vector<ParetoEntry> entries;
  for (const CapInput& self : inputs) {
    ParetoEntry entry;
    entry.system = self.system;
    if (IsComplete(self)) {
      for (const CapInput& other : inputs) {
        if (IsComplete(other) && DominatesBeyondNoise(other, self, options)) entry.dominated_by.push_back(other.system);
      }
      entry.on_front = entry.dominated_by.empty();
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace moecap::cap
