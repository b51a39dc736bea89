#include "accuracy/bradley_terry.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/check.h"

namespace moecap::accuracy {
namespace {

constexpr int kMostRounds = 100, kMostHalvings = 30;
constexpr double kConverged = 1e-10;
// A prior so wide (standard deviation 1e4) that it only decides what the battles leave open.
constexpr double kPrior = 1e-8;

struct Problem {
  const Battles& battles;
  std::span<const double> weights;
  size_t players;
  size_t size() const { return players + battles.feature_count; }

  double Weight(size_t battle) const { return weights.empty() ? 1 : weights[battle]; }
  double LogOdds(size_t battle, const std::vector<double>& x) const {
    double sum = x[battles.player[battle]];
    for (size_t f = 0; f < battles.feature_count; ++f)
      sum += battles.features[battle * battles.feature_count + f] * x[players + f];
    return sum;
  }
  double Loss(const std::vector<double>& x) const {
    double loss = 0;
    for (const double value : x) loss += kPrior * value * value / 2;
    for (size_t battle = 0; battle < battles.outcome.size(); ++battle) {
      const double odds = LogOdds(battle, x);
      // log(1 + e^odds) - outcome odds, without overflow.
      const double log_sum = std::max(odds, 0.0) + std::log1p(std::exp(-std::abs(odds)));
      loss += Weight(battle) * (log_sum - battles.outcome[battle] * odds);
    }
    return loss;
  }
};

// The solution of a x = b by Cholesky for a symmetric positive definite matrix, row by row in `a`.
std::vector<double> Solve(std::vector<double> a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t j = 0; j < n; ++j) {
    for (size_t k = 0; k < j; ++k) {
      for (size_t i = j; i < n; ++i) a[i * n + j] -= a[i * n + k] * a[j * n + k];
    }
    const double root = std::sqrt(std::max(a[j * n + j], kPrior * kPrior));
    for (size_t i = j; i < n; ++i) a[i * n + j] /= root;
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return b;
}

// Newton's step down from `x`.
std::vector<double> Step(const Problem& problem, const std::vector<double>& x) {
  const size_t n = problem.size(), features = problem.battles.feature_count;
  std::vector<double> gradient(n), curvature(n * n);
  for (size_t i = 0; i < n; ++i) {
    gradient[i] = kPrior * x[i];
    curvature[i * n + i] = kPrior;
  }
  std::vector<size_t> place(features + 1);
  std::vector<double> value(features + 1, 1.0);
  for (size_t battle = 0; battle < problem.battles.outcome.size(); ++battle) {
    const double rate = WinRate(problem.LogOdds(battle, x));
    const double weight = problem.Weight(battle);
    place[0] = problem.battles.player[battle];
    for (size_t f = 0; f < features; ++f) {
      place[f + 1] = problem.players + f;
      value[f + 1] = problem.battles.features[battle * features + f];
    }
    for (size_t i = 0; i <= features; ++i) {
      gradient[place[i]] += weight * (rate - problem.battles.outcome[battle]) * value[i];
      for (size_t j = 0; j <= features; ++j) {
        curvature[place[i] * n + place[j]] += weight * rate * (1 - rate) * value[i] * value[j];
      }
    }
  }
  return Solve(std::move(curvature), std::move(gradient));
}

}  // namespace

double WinRate(double strength) { return 1 / (1 + std::exp(-strength)); }

BradleyTerryFit FitBradleyTerry(const Battles& battles, size_t players, std::span<const double> weights) {
  const size_t count = battles.outcome.size();
  CHECK(battles.player.size() == count && battles.features.size() == count * battles.feature_count);
  CHECK(weights.empty() || weights.size() == count);
  CHECK(std::ranges::all_of(battles.player, [&](size_t player) { return player < players; }));
  const Problem problem{battles, weights, players};
  std::vector<double> x(problem.size());
  double loss = problem.Loss(x);
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<double> step = Step(problem, x);
    double gain = 0;
    for (int halving = 0; halving < kMostHalvings; ++halving) {
      std::vector<double> next(x.size());
      for (size_t i = 0; i < x.size(); ++i) next[i] = std::clamp(x[i] - step[i], -kMostStrength, kMostStrength);
      const double next_loss = problem.Loss(next);
      if (next_loss < loss) {
        gain = loss - next_loss;
        x = std::move(next);
        loss = next_loss;
        break;
      }
      for (double& part : step) part /= 2;
    }
    if (gain <= kConverged * (1 + std::abs(loss))) break;
  }
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(players);
  return {{x.begin(), middle}, {middle, x.end()}};
}

}  // namespace moecap::accuracy
