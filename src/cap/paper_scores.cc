#include "cap/paper_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace moecap::cap {
namespace {

struct Range {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();

  void Add(const std::optional<double>& value) {
    if (!value || !std::isfinite(*value)) return;
    min = std::min(min, *value);
    max = std::max(max, *value);
  }
};

// baseline + share x (100 - baseline); a share of 0 / 0 means that nobody is behind.
std::optional<double> Score(const std::optional<double>& value, double baseline, double numerator, double denominator) {
  if (!value || !std::isfinite(*value)) return std::nullopt;
  const double share = denominator > 0 ? std::clamp(numerator / denominator, 0.0, 1.0) : 1.0;
  return baseline + share * (100 - baseline);
}

}  // namespace

std::optional<std::vector<PaperScore>> PaperScores(std::span<const Evidence> systems, const PaperScoreOptions& options) {
  if (systems.size() < 2) return std::nullopt;
  Range cost, accuracy, performance;
  for (const Evidence& system : systems) {
    cost.Add(system.cost.value);
    accuracy.Add(system.accuracy);
    performance.Add(system.performance.value);
  }
  const double scale = options.cost_at_baseline.value_or(cost.max);
  const double b = options.baseline;
  std::vector<PaperScore> scores;
  for (const Evidence& system : systems) {
    const double c = system.cost.value.value_or(0);
    const double a = system.accuracy.value_or(0);
    const double p = system.performance.value.value_or(0);
    scores.push_back(
        {system.label, Score(system.cost.value, b, scale - std::min(c, scale), scale),
         Score(system.accuracy, b, a - accuracy.min, 1 - accuracy.min),
         Score(system.performance.value, b, options.performance_higher_is_better ? p - performance.min : performance.max - p,
               performance.max - performance.min)});
  }
  return scores;
}

}  // namespace moecap::cap
