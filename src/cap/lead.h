// When one system beats another one in a dimension beyond noise. Internal to cap/.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "cap/axis.h"
#include "cap/cap_scores.h"
#include "stats/bootstrap.h"

namespace moecap::cap {

// In the order of the last tie-break.
inline constexpr std::array kDimensions = {Dimension::kPerformance, Dimension::kCost, Dimension::kAccuracy};

// By Dimension; null for a value that is not known or not finite.
using Values = std::array<std::optional<double>, kDimensions.size()>;

Values ValuesOf(const CapInput& input);
const std::vector<double>& ResamplesOf(const CapInput& input, Dimension dimension);
bool HigherIsBetter(Dimension dimension, const ScoreOptions& options);

// The standard error of the difference of every two systems: of the accuracies, or of the logarithms of costs and of times.
class Noise {
 public:
  Noise(std::span<const CapInput> inputs, const ScoreOptions& options);

  // Null: not known.
  std::optional<double> Of(size_t a, size_t b, Dimension dimension) const {
    return errors_[(a * size_ + b) * kDimensions.size() + static_cast<size_t>(dimension)];
  }

 private:
  size_t size_;
  std::vector<std::optional<double>> errors_;
};

// By how much one system beats another one.
struct Lead {
  size_t other = 0;              // index of the one that leads, set by the caller
  double difference = 0;         // > 0, in the dimension's unit
  double ratio = 1;              // >= 1: of costs, of times, of rates, of error rates; infinite where the better one has none
  std::optional<double> errors;  // an accuracy difference in standard errors of the difference; null where they are not known
};

// How `other` leads over `self`; null when it does not, not beyond noise, or a value is not known.
std::optional<Lead> LeadOver(const Values& self, const Values& other, Dimension dimension, std::optional<double> noise,
                             const ScoreOptions& options);

// Every lead among some systems.
class Leads {
 public:
  Leads(std::span<const Values> values, const Noise& noise, const ScoreOptions& options);

  // How `other` leads over `self`.
  const std::optional<Lead>& Of(size_t self, size_t other, Dimension dimension) const {
    return leads_[(self * size_ + other) * kDimensions.size() + static_cast<size_t>(dimension)];
  }
  // `winner` leads somewhere and is led nowhere in `dimensions`. Both must know every value.
  bool Dominates(size_t winner, size_t loser, std::span<const Dimension> dimensions = kDimensions) const;

 private:
  size_t size_;
  std::vector<std::optional<Lead>> leads_;
};

}  // namespace moecap::cap
