// When one system beats another one in a dimension beyond noise. Internal to cap/.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "cap/axis.h"
#include "cap/cap_scores.h"

namespace moecap::cap {

// In the order of the last tie-break.
inline constexpr std::array kDimensions = {Dimension::kPerformance, Dimension::kCost, Dimension::kAccuracy};

// Null for a value that is not known or not finite.
std::optional<double> ValueOf(const CapInput& input, Dimension dimension);

// By how much one system beats another one.
struct Lead {
  size_t other = 0;              // index of the one that leads, set by the caller
  double difference = 0;         // > 0, in the dimension's unit
  double ratio = 1;              // >= 1: of costs, of times, of error rates; infinite where the better one has none
  std::optional<double> errors;  // an accuracy difference in standard errors of the difference; null where they are not known
};

// How `other` leads over `self`; null when it does not, not beyond noise, or a value is not known.
std::optional<Lead> LeadOver(const CapInput& self, const CapInput& other, Dimension dimension, const ScoreOptions& options);

}  // namespace moecap::cap
