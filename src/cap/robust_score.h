// A score from 0 to 100 that depends on nothing but the system's own figure and a limit of physics or of the device catalogue.
//
// The paper's normalisation (cap_scores.h) ranks the systems in view against each other: adding a system changes every score.
// Here
//   lower is better:  score = 100 x clamp(1 - log10(v / limit) / decades, 0, 1)
//   higher is better: score = 100 x clamp(1 - log10(limit / v) / decades, 0, 1)
//   fractions (accuracy, S-MBU, S-MFU): score = 100 x clamp(v, 0, 1)
// so that 100 is the limit itself, and each factor of ten away from it costs 100 / decades points. Limits are computed by the
// caller (run/axis_limits.h: cap knows no hardware) and shown with every score.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cap/axis.h"

namespace moecap::cap {

struct AxisLimit {
  AxisId axis = AxisId::kAccuracy;
  double value = 0;    // > 0, in the axis' unit
  std::string source;  // how it follows from model and catalogue, with the numbers
};

using AxisLimits = std::vector<AxisLimit>;

// Null when there is none.
const AxisLimit* FindLimit(const AxisLimits& limits, AxisId axis);

// Null when the value is not known or not finite, or the axis needs a limit and has none. A value of 0 or less scores 100 where
// lower is better and 0 where higher is better.
std::optional<double> RobustScore(const Axis& axis, std::optional<double> value, const AxisLimit* limit);

}  // namespace moecap::cap
