#pragma once

#include <string_view>

namespace moecap::cap {

// The three of CAP, and what may be shown beside them.
enum class Dimension { kPerformance, kCost, kAccuracy, kOther };
std::string_view DimensionName(Dimension dimension);  // "performance", "cost", "accuracy", "other"

}  // namespace moecap::cap
