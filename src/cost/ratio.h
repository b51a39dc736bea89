// A quotient that may have no value.
#pragma once

#include <optional>

namespace moecap::cost {

// Null where the denominator is not positive.
inline std::optional<double> Ratio(double numerator, double denominator) {
  return denominator > 0 ? std::optional(numerator / denominator) : std::nullopt;
}

}  // namespace moecap::cost
