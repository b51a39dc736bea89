// A comparison for the terminal.
#pragma once

#include <string>

#include "cap/comparison.h"
#include "report/terminal.h"

namespace moecap::report {

// Warnings first, then figures, CAP scores with radar and classes, fronts, the paper's advice, and what the figures rest on. No
// line is wider than options.width. Ends in '\n'.
std::string RenderComparisonTerminal(const cap::Comparison& comparison, const TerminalOptions& options);

}  // namespace moecap::report
