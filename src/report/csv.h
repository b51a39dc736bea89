// A run as CSV: one row a system and concurrency, SI units, every figure of the value type.
#pragma once

#include <string>

#include "cap/summary.h"

namespace moecap::report {

// RFC 4180 with '\n' line ends; the first line names the columns, whose order is stable (new columns are appended). Null is an
// empty field; doubles round-trip.
std::string RenderCsv(const cap::RunSummary& summary);

}  // namespace moecap::report
