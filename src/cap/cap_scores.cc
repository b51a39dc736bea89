#include "cap/cap_scores.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "cap/classify.h"
#include "cap/lead.h"
#include "cap/reason.h"

namespace moecap::cap {
namespace {

struct Range {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
};

Range RangeOf(std::span<const Values> values, Dimension dimension) {
  Range range;
  for (const Values& system : values) {
    const auto& value = system[static_cast<size_t>(dimension)];
    if (!value) continue;
    range.min = std::min(range.min, *value);
    range.max = std::max(range.max, *value);
  }
  return range;
}

// baseline + share x (100 - baseline); a share of 0 / 0 means that nobody is behind.
double Score(double baseline, double numerator, double denominator) {
  const double share = denominator > 0 ? std::clamp(numerator / denominator, 0.0, 1.0) : 1.0;
  return baseline + share * (100 - baseline);
}

std::optional<double> ScoreOf(std::optional<double> value, Dimension dimension, const Range& range,
                              const ScoreOptions& options) {
  if (!value) return std::nullopt;
  const double scale = options.cost_at_baseline.value_or(range.max);
  switch (dimension) {
    case Dimension::kPerformance:
      return Score(options.baseline, HigherIsBetter(dimension, options) ? *value - range.min : range.max - *value,
                   range.max - range.min);
    case Dimension::kCost:
      return Score(options.baseline, scale - std::min(*value, scale), scale);
    case Dimension::kAccuracy:
      return Score(options.baseline, *value - range.min, 1 - range.min);
    case Dimension::kOther:
      break;
  }
  return std::nullopt;
}

// What is not known, in words; empty when everything is.
std::string MissingInWords(const Values& values) {
  std::vector<std::string_view> missing;
  for (const Dimension dimension : {Dimension::kCost, Dimension::kAccuracy, Dimension::kPerformance}) {
    if (!values[static_cast<size_t>(dimension)]) missing.push_back(DimensionName(dimension));
  }
  return missing.empty() ? "" : fmt::format("{} not known", fmt::join(missing, " and "));
}

// The systems that dominate `self`, those that are dominated by none first.
std::vector<size_t> Dominators(std::span<const Values> values, const Leads& leads, size_t self,
                               const std::vector<CapClass>& classes) {
  std::vector<size_t> winners;
  for (size_t other = 0; other < values.size(); ++other) {
    if (other != self && IsComplete(values[other]) && leads.Dominates(other, self)) winners.push_back(other);
  }
  std::stable_partition(winners.begin(), winners.end(), [&](size_t winner) { return classes[winner] != CapClass::kDominated; });
  return winners;
}

void Explain(std::span<const CapInput> inputs, std::span<const Values> values, const Leads& leads,
             const std::vector<CapClass>& classes, size_t self, const ScoreOptions& options, CapScores& scores) {
  scores.cap_class = classes[self];
  switch (scores.cap_class) {
    case CapClass::kUnknown:
      scores.reason =
          "unknown: " + (IsComplete(values[self]) ? "no other system to compare with" : MissingInWords(values[self]));
      return;
    case CapClass::kBalanced:
      scores.reason = "balanced: no system in view is cheaper, faster or more accurate beyond noise";
      return;
    case CapClass::kDominated: {
      const auto winners = Dominators(values, leads, self, classes);
      for (const size_t winner : winners) scores.dominated_by.push_back(inputs[winner].system);
      scores.reason = DominatedReason(inputs, leads, self, winners, options);
      return;
    }
    default:
      scores.reason = SacrificeReason(inputs, leads, self, *FindSacrifice(values, leads, self, options), options);
  }
}

}  // namespace

std::string CapClassName(CapClass value) {
  switch (value) {
    case CapClass::kPerformanceAccuracy:
      return "PA";
    case CapClass::kPerformanceCost:
      return "PC";
    case CapClass::kCostAccuracy:
      return "CA";
    case CapClass::kBalanced:
      return "balanced";
    case CapClass::kDominated:
      return "dominated";
    case CapClass::kUnknown:
      break;
  }
  return "unknown";
}

std::vector<CapScores> ScoreSystems(std::span<const CapInput> inputs, const ScoreOptions& options) {
  std::vector<Values> values;
  for (const CapInput& input : inputs) values.push_back(ValuesOf(input));
  const Noise noise(inputs, options);
  const Leads leads(values, noise, options);
  const std::vector<CapClass> classes = ClassifyAll(values, noise, options);
  std::vector<CapScores> result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto score = [&](Dimension dimension) {
      return ScoreOf(values[i][static_cast<size_t>(dimension)], dimension, RangeOf(values, dimension), options);
    };
    CapScores scores;
    scores.system = inputs[i].system;
    scores.cost = score(Dimension::kCost);
    scores.accuracy = score(Dimension::kAccuracy);
    scores.performance = score(Dimension::kPerformance);
    Explain(inputs, values, leads, classes, i, options, scores);
    result.push_back(std::move(scores));
  }
  AddSupport(inputs, noise, options, result);
  return result;
}

}  // namespace moecap::cap
