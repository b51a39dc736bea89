// A load test as JSON. Schema: docs/formats/load.md.
#pragma once

#include "base/json.h"
#include "metrics/load_summary.h"

namespace moecap::report {

inline constexpr int kLoadSchema = 1;

// Every figure of the value type in SI units; null for what is not known.
Json LoadTestToJson(const metrics::LoadTestSummary& summary);

}  // namespace moecap::report
