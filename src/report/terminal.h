// A run as text for a terminal.
#pragma once

#include <string>

#include "cap/summary.h"
#include "report/terminal_options.h"

namespace moecap::report {

// Header, the tables of systems, performance, utilisation, and accuracy and cost, notes, and the CAP radar with classes. No
// line is wider than options.width. Ends in '\n'.
std::string RenderTerminal(const cap::RunSummary& summary, const TerminalOptions& options);

}  // namespace moecap::report
