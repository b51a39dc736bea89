// A comparison as JSON; docs/formats/comparison.md describes the keys.
#pragma once

#include "base/json.h"
#include "cap/comparison.h"

namespace moecap::report {

inline constexpr int kComparisonSchema = 1;

// Every key is always present, null for what is not known.
Json ComparisonToJson(const cap::Comparison& comparison);

}  // namespace moecap::report
