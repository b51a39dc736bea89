// From the stored facts of a run to its figures. Pure: the same facts give the same figures, when they are measured and ever
// after.
#pragma once

#include <span>

#include "cap/summary.h"
#include "record/pass_record.h"
#include "record/request_record.h"
#include "run/results.h"

namespace moecap::run {

cap::RunSummary Summarize(const Manifest& manifest, std::span<const record::RequestRecord> requests,
                          std::span<const record::PassRecord> passes);

// Reads the facts and summarises them.
Result<cap::RunSummary> SummarizeStored(const Results& results);

}  // namespace moecap::run
