// A judged experiment as JSON, both ways: docs/formats/summary.md.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "cap/judgement.h"

namespace moecap::report {

inline constexpr int kSummarySchema = 2;

// Every figure of cap::Figures() is a key with a number or null.
Json ExperimentToJson(const cap::JudgedExperiment& experiment);
// Errors: kBadInput for another schema, and naming the first key that is wrong.
Result<cap::JudgedExperiment> ExperimentFromJson(const Json& json);

}  // namespace moecap::report
