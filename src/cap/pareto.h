// Which systems are worth a look: nobody beats them in every respect.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/cap_scores.h"

namespace moecap::cap {

// One candidate: a value for each objective, lower is better (negate what is better when higher). All points of a set have the
// same number of values, all finite.
using ParetoPoint = std::vector<double>;

// True when `a` is nowhere above `b` and somewhere below it.
bool Dominates(const ParetoPoint& a, const ParetoPoint& b);

// Whether each point is on the front, i.e. dominated by none; equal points are all on it. Same order as `points`. Sorts first
// and compares with the front only: fast for the planner's many thousands of candidates.
std::vector<bool> ParetoFront(std::span<const ParetoPoint> points);

struct ParetoEntry {
  std::string system;
  std::optional<bool> on_front;           // null when cost, accuracy or performance is not known
  std::vector<std::string> dominated_by;  // systems that lose nowhere and win somewhere
};

inline constexpr Dimension kCapDimensions[] = {Dimension::kCost, Dimension::kAccuracy, Dimension::kPerformance};

// The front in cost, accuracy and performance, or in some of them, where differences within noise count as equal (ScoreOptions
// says what noise is). Same order as `inputs`.
std::vector<ParetoEntry> CapFront(std::span<const CapInput> inputs, const ScoreOptions& options = {},
                                  std::span<const Dimension> dimensions = kCapDimensions);

// The area or volume that lies between `points` and `reference`: what they dominate, up to the reference. Exact, in two or
// three dimensions (CHECKed); lower is better. A point that is not below the reference in every coordinate adds nothing, nor
// does a dominated one. O(n log n) and O(n^2 log n).
double Hypervolume(std::span<const ParetoPoint> points, const ParetoPoint& reference);

// What the hypervolume loses without each point: what only that point dominates. Of two equal points neither has any.
std::vector<double> HypervolumeContributions(std::span<const ParetoPoint> points, const ParetoPoint& reference);

}  // namespace moecap::cap
