// From the summary and the records of a run to what cap/ scores and compares.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cap/resample.h"
#include "cap/summary.h"
#include "record/request_record.h"

namespace moecap::run {

// The concurrency of the view: the one that was asked for, else the highest or lowest at which every system was measured, else
// at which any was. 0 when nothing was.
int ChooseConcurrency(std::span<const cap::RunSummary* const> runs, const cap::CapView& view);

// The cell of `system` at `concurrency`; null when it was not measured.
const cap::CellSummary* FindCell(const cap::SystemSummary& system, int concurrency);

// Whether no validity gate tripped.
bool IsValid(const cap::CellSummary& cell);

// `cell`: of `system`, or null. A cell that is missing or tripped a gate brings no figures. The label is the system's name.
cap::MeasuredSystem MeasureSystem(const cap::RunSummary& run, const cap::SystemSummary& system, const cap::CellSummary* cell,
                                  std::span<const record::RequestRecord> requests);

}  // namespace moecap::run
