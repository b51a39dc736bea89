// The Bradley-Terry model (1952) with covariates: a logistic fit of who wins a comparison.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace moecap::accuracy {

// Comparisons of players with one common opponent, the baseline, whose strength is 0.
struct Battles {
  std::vector<size_t> player;    // who met the baseline, by number
  std::vector<double> outcome;   // 1 = the player won, 0 = the baseline did, 0.5 = a tie
  std::vector<double> features;  // row by row, `feature_count` a battle: what else may have decided it
  size_t feature_count = 0;
};

struct BradleyTerryFit {
  std::vector<double> strength;   // by player: the log odds against the baseline where all features are 0
  std::vector<double> influence;  // by feature
};

// The maximum likelihood, each battle counted `weights` times (one number a battle; empty = once each), by Newton's method.
// Strengths stay within +-kMostStrength: who never loses has no finite one. A direction that the battles say nothing about
// keeps 0. Requires equal lengths and players below `players`.
inline constexpr double kMostStrength = 20;
BradleyTerryFit FitBradleyTerry(const Battles& battles, size_t players, std::span<const double> weights = {});

double WinRate(double strength);  // 1 / (1 + exp(-strength)), in [0, 1]

}  // namespace moecap::accuracy
