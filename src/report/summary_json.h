// RunSummary as JSON and back: what --json prints and what a stored run keeps to be rendered again. Schema:
// docs/formats/summary.md.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "cap/summary.h"

namespace moecap::report {

inline constexpr int kSummarySchema = 1;

// Every key is always present, null for what is not known. Doubles survive the round trip exactly; NaN and infinity become null
// in text.
Json SummaryToJson(const cap::RunSummary& summary);

// Unknown keys are ignored; missing or null keys leave the default. Error: kBadInput naming the key for a wrong type, a wrong
// schema version, or a document that is not a summary.
Result<cap::RunSummary> SummaryFromJson(const Json& json);

}  // namespace moecap::report
