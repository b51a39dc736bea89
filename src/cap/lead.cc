#include "cap/lead.h"

#include <cmath>
#include <limits>

#include "stats/bootstrap.h"

namespace moecap::cap {
namespace {

std::optional<double> Finite(std::optional<double> value) { return value && std::isfinite(*value) ? value : std::nullopt; }

double RatioOf(double larger, double smaller) {
  return smaller > 0 ? larger / smaller : std::numeric_limits<double>::infinity();
}

std::optional<stats::PairedComparison> Paired(const CapInput& first, const CapInput& second) {
  if (first.item_scores.empty() || first.item_scores.size() != second.item_scores.size()) return std::nullopt;
  return stats::ComparePaired(first.item_scores, second.item_scores);
}

// Of a difference in accuracy: paired by problem where possible, else as if the errors were independent, which is cautious.
std::optional<double> DifferenceError(const CapInput& first, const CapInput& second) {
  if (const auto paired = Paired(first, second)) return Finite(paired->std_error);
  const auto error = Finite(first.accuracy_stderr);
  const auto other_error = Finite(second.accuracy_stderr);
  if (!error || !other_error) return std::nullopt;
  return std::hypot(*error, *other_error);
}

}  // namespace

std::vector<AccuracyDifference> CompareAccuracies(std::span<const CapInput> inputs) {
  std::vector<AccuracyDifference> differences;
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t j = i + 1; j < inputs.size(); ++j) {
      const auto paired = Paired(inputs[i], inputs[j]);
      if (!paired) continue;
      differences.push_back({inputs[i].system, inputs[j].system, paired->mean_difference, paired->std_error, paired->p_value});
    }
  }
  return differences;
}

std::optional<double> ValueOf(const CapInput& input, Dimension dimension) {
  switch (dimension) {
    case Dimension::kPerformance:
      return Finite(input.performance);
    case Dimension::kCost:
      return Finite(input.cost);
    case Dimension::kAccuracy:
      return Finite(input.accuracy);
    case Dimension::kOther:
      break;
  }
  return std::nullopt;
}

std::optional<Lead> LeadOver(const CapInput& self, const CapInput& other, Dimension dimension, const ScoreOptions& options) {
  const auto mine = ValueOf(self, dimension);
  const auto theirs = ValueOf(other, dimension);
  if (!mine || !theirs) return std::nullopt;
  Lead lead;
  lead.difference = dimension == Dimension::kAccuracy ? *theirs - *mine : *mine - *theirs;
  if (lead.difference <= 0) return std::nullopt;
  if (dimension != Dimension::kAccuracy) {
    lead.ratio = RatioOf(*mine, *theirs);
    return lead.ratio > options.meaningful_ratio ? std::optional(lead) : std::nullopt;
  }
  lead.ratio = RatioOf(1 - *mine, 1 - *theirs);
  const auto error = DifferenceError(self, other);
  if (!error) return lead.difference >= options.accuracy_step_without_error ? std::optional(lead) : std::nullopt;
  lead.errors = RatioOf(lead.difference, *error);
  return *lead.errors >= options.significant_errors ? std::optional(lead) : std::nullopt;
}

}  // namespace moecap::cap
