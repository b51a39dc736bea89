// Runs as CSV: one row a system and concurrency, SI units, every figure of the value type.
#pragma once

#include <span>
#include <string>

#include "cap/summary.h"

namespace moecap::report {

// RFC 4180 with '\n' line ends; the first line names the columns, whose order is stable (new columns are appended). Null is an
// empty field; doubles round-trip.
std::string RenderCsv(std::span<const cap::RunSummary> runs);

}  // namespace moecap::report
