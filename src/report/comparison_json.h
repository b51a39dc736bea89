// A comparison as JSON: docs/formats/comparison.md.
#pragma once

#include "base/json.h"
#include "cap/judgement.h"

namespace moecap::report {

inline constexpr int kComparisonSchema = 2;

Json ComparisonToJson(const cap::Comparison& comparison);

}  // namespace moecap::report
