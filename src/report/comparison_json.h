// A comparison as JSON: docs/formats/comparison.md.
#pragma once

#include "base/json.h"
#include "cap/judgement.h"

namespace moecap::report {

Json ComparisonToJson(const cap::Comparison& comparison);

}  // namespace moecap::report
