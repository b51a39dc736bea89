#include "cap/lead.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace moecap::cap {
namespace {

std::optional<double> Finite(std::optional<double> value) { return value && std::isfinite(*value) ? value : std::nullopt; }

double RatioOf(double larger, double smaller) {
  return smaller > 0 ? larger / smaller : std::numeric_limits<double>::infinity();
}

std::optional<stats::PairedComparison> Paired(const CapInput& first, const CapInput& second) {
  if (first.item_scores.empty() || first.item_scores.size() != second.item_scores.size()) return std::nullopt;
  stats::ResamplingOptions options;
  options.resamples = 1;  // only the standard error is used
  return stats::ComparePaired(first.item_scores, second.item_scores, options);
}

// Of a difference in accuracy: paired by problem where possible, else as if the errors were independent, which is cautious.
std::optional<double> AccuracyError(const CapInput& first, const CapInput& second) {
  if (const auto paired = Paired(first, second)) return Finite(paired->std_error);
  const auto error = Finite(first.accuracy_stderr);
  const auto other_error = Finite(second.accuracy_stderr);
  if (!error || !other_error) return std::nullopt;
  return std::hypot(*error, *other_error);
}

// A figure without resamples stands for itself in each of them.
double Resample(const std::vector<double>& resamples, double value, size_t i) {
  return resamples.empty() ? value : resamples[i];
}

// The standard deviation of log(first / second) over the resamples.
std::optional<double> LogRatioError(const CapInput& first, const CapInput& second, Dimension dimension) {
  const auto& a = ResamplesOf(first, dimension);
  const auto& b = ResamplesOf(second, dimension);
  const size_t count = std::max(a.size(), b.size());
  const auto value_a = ValuesOf(first)[static_cast<size_t>(dimension)];
  const auto value_b = ValuesOf(second)[static_cast<size_t>(dimension)];
  if (count < 2 || !value_a || !value_b) return std::nullopt;
  double mean = 0, squares = 0;
  for (size_t i = 0; i < count; ++i) {
    const double log_ratio = std::log(Resample(a, *value_a, i) / Resample(b, *value_b, i));
    if (!std::isfinite(log_ratio)) return std::nullopt;
    const double step = log_ratio - mean;  // Welford
    mean += step / static_cast<double>(i + 1);
    squares += step * (log_ratio - mean);
  }
  return std::sqrt(squares / static_cast<double>(count - 1));
}

}  // namespace

std::vector<AccuracyDifference> CompareAccuracies(std::span<const CapInput> inputs) {
  std::vector<AccuracyDifference> differences;
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t j = i + 1; j < inputs.size(); ++j) {
      if (inputs[i].item_scores.empty() || inputs[i].item_scores.size() != inputs[j].item_scores.size()) continue;
      const auto paired = stats::ComparePaired(inputs[i].item_scores, inputs[j].item_scores);
      differences.push_back({inputs[i].system, inputs[j].system, paired->mean_difference, paired->std_error, paired->p_value});
    }
  }
  return differences;
}

Values ValuesOf(const CapInput& input) {
  Values values;
  values[static_cast<size_t>(Dimension::kPerformance)] = Finite(input.performance);
  values[static_cast<size_t>(Dimension::kCost)] = Finite(input.cost);
  values[static_cast<size_t>(Dimension::kAccuracy)] = Finite(input.accuracy);
  return values;
}

const std::vector<double>& ResamplesOf(const CapInput& input, Dimension dimension) {
  if (dimension == Dimension::kCost) return input.cost_resamples;
  return dimension == Dimension::kAccuracy ? input.accuracy_resamples : input.performance_resamples;
}

bool HigherIsBetter(Dimension dimension, const ScoreOptions& options) {
  if (dimension == Dimension::kPerformance) return AxisOf(options.performance_axis).higher_is_better;
  return dimension == Dimension::kAccuracy;
}

Noise::Noise(std::span<const CapInput> inputs, const ScoreOptions&)
    : size_(inputs.size()), errors_(inputs.size() * inputs.size() * kDimensions.size()) {
  for (size_t i = 0; i < size_; ++i) {
    for (size_t j = i + 1; j < size_; ++j) {
      for (const Dimension dimension : kDimensions) {
        const auto error = dimension == Dimension::kAccuracy ? AccuracyError(inputs[i], inputs[j])
                                                             : LogRatioError(inputs[i], inputs[j], dimension);
        for (const size_t cell : {i * size_ + j, j * size_ + i})
          errors_[cell * kDimensions.size() + static_cast<size_t>(dimension)] = error;
      }
    }
  }
}

std::optional<Lead> LeadOver(const Values& self, const Values& other, Dimension dimension, std::optional<double> noise,
                             const ScoreOptions& options) {
  const auto mine = self[static_cast<size_t>(dimension)];
  const auto theirs = other[static_cast<size_t>(dimension)];
  if (!mine || !theirs) return std::nullopt;
  Lead lead;
  const bool higher_is_better = HigherIsBetter(dimension, options);
  lead.difference = higher_is_better ? *theirs - *mine : *mine - *theirs;
  if (lead.difference <= 0) return std::nullopt;
  if (dimension != Dimension::kAccuracy) {
    lead.ratio = higher_is_better ? RatioOf(*theirs, *mine) : RatioOf(*mine, *theirs);
    const bool beyond_noise = !noise || std::log(lead.ratio) >= options.significant_errors * *noise;
    return lead.ratio > options.meaningful_ratio && beyond_noise ? std::optional(lead) : std::nullopt;
  }
  lead.ratio = RatioOf(1 - *mine, 1 - *theirs);
  if (lead.difference < options.accuracy_margin) return std::nullopt;
  if (!noise) return lead.difference >= options.accuracy_step_without_error ? std::optional(lead) : std::nullopt;
  lead.errors = RatioOf(lead.difference, *noise);
  return *lead.errors >= options.significant_errors ? std::optional(lead) : std::nullopt;
}

Leads::Leads(std::span<const Values> values, const Noise& noise, const ScoreOptions& options)
    : size_(values.size()), leads_(values.size() * values.size() * kDimensions.size()) {
  for (size_t self = 0; self < size_; ++self) {
    for (size_t other = 0; other < size_; ++other) {
      if (self == other) continue;
      for (const Dimension dimension : kDimensions) {
        auto& lead = leads_[(self * size_ + other) * kDimensions.size() + static_cast<size_t>(dimension)];
        lead = LeadOver(values[self], values[other], dimension, noise.Of(self, other, dimension), options);
        if (lead) lead->other = other;
      }
    }
  }
}

bool Leads::Dominates(size_t winner, size_t loser, std::span<const Dimension> dimensions) const {
  const auto leads = [&](size_t ahead, size_t behind) {
    return std::any_of(dimensions.begin(), dimensions.end(),
                       [&](Dimension dimension) { return Of(behind, ahead, dimension).has_value(); });
  };
  return leads(winner, loser) && !leads(loser, winner);
}

}  // namespace moecap::cap
