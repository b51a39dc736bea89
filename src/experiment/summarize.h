// From the stored events of a load test to its figures. The same events give the same figures, when they are measured and ever
// after.
#pragma once

#include <vector>

#include "base/result.h"
#include "loadtest/results.h"
#include "metrics/load_summary.h"
#include "record/request_record.h"

namespace moecap::loadtest {

// Errors: those of reading the files of the run.
Result<metrics::LoadTestSummary> Summarize(const LoadResults& results);

}  // namespace moecap::loadtest
