// The radar of MoE-CAP (arXiv 2412.07067; the formulas are those of its leaderboard's draw_radar.py): scores relative to the
// systems in view, for showing only. They rank nothing and decide nothing: adding a system changes them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/evidence.h"

namespace moecap::cap {

struct PaperScore {
  std::string label;
  std::optional<double> cost, accuracy, performance;  // 0..100, outer is better; null: the figure is not known
};

struct PaperScoreOptions {
  bool performance_higher_is_better = false;
  double baseline = 20;  // b: the score of the worst in view; the middle of the radar stays empty
  // The cost T that scores b; dearer systems are cut to it. Null: the largest cost in view. Upstream takes the second-last tick
  // of its cost axis (8000 for ticks 0..10000 by 2000).
  std::optional<double> cost_at_baseline;
};

// From Series::value and Evidence::accuracy:
//   performance = b + (max - v) / (max - min) x (100 - b)     cost = b + (T - min(v, T)) / T x (100 - b)
//   accuracy    = b + (v - min) / (1 - min) x (100 - b)
// with v - min for max - v where higher performance is better. 0 / 0 scores 100: nobody is behind. Null for fewer than two
// systems: a system has no score relative to itself.
std::optional<std::vector<PaperScore>> PaperScores(std::span<const Evidence> systems, const PaperScoreOptions& options = {});

}  // namespace moecap::cap
