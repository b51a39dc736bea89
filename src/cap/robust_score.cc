#include "cap/robust_score.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace moecap::cap {

const AxisLimit* FindLimit(const AxisLimits& limits, AxisId axis) {
  const auto found = std::find_if(limits.begin(), limits.end(), [&](const AxisLimit& limit) { return limit.axis == axis; });
  return found != limits.end() ? &*found : nullptr;
}

std::optional<double> RobustScore(const Axis& axis, std::optional<double> value, const AxisLimit* limit) {
  if (!value || !std::isfinite(*value)) return std::nullopt;
  if (!axis.log_scale) return 100 * std::clamp(*value, 0.0, 1.0);
  if (limit == nullptr) return std::nullopt;
  CHECK(limit->axis == axis.id && limit->value > 0 && axis.decades > 0);
  if (*value <= 0) return axis.higher_is_better ? 0.0 : 100.0;
  // The difference of logarithms stays finite where the quotient overflows.
  const double away = (std::log10(*value) - std::log10(limit->value)) * (axis.higher_is_better ? -1 : 1);
  return 100 * std::clamp(1 - away / axis.decades, 0.0, 1.0);
}

}  // namespace moecap::cap
