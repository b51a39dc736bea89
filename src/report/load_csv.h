// Load tests as CSV: one row a cell, SI units.
#pragma once

#include <span>
#include <string>

#include "metrics/load_summary.h"

namespace moecap::report {

// RFC 4180 with '\n' line ends; the first line names the columns, whose order is stable (new columns are appended). Null, and a
// percentile that the sample cannot support, is an empty field; doubles round-trip.
std::string RenderLoadCsv(std::span<const metrics::LoadTestSummary> tests);

}  // namespace moecap::report
