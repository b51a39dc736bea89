// A load test as text for a terminal.
#pragma once

#include <string>

#include "metrics/load_summary.h"
#include "report/terminal.h"

namespace moecap::report {

// Warnings, what was tested, the table of loads; for a single load the whole table of latencies, the steady part and the gates;
// failed requests, the search, notes. No line is wider than options.width. Ends in '\n'.
std::string RenderLoadTerminal(const metrics::LoadTestSummary& summary, const TerminalOptions& options);

}  // namespace moecap::report
