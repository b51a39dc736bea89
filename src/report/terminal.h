// A run as text for a terminal.
#pragma once

#include <cstddef>
#include <string>

#include "cap/summary.h"

namespace moecap::report {

struct TerminalOptions {
  size_t width = 80;    // columns; below 40 counts as 40
  bool color = false;   // ANSI colours
  bool unicode = true;  // false: 7-bit output
};

// Header, the tables of systems, performance, utilisation, and accuracy and cost, notes, and the CAP radar with classes. No
// line is wider than options.width. Ends in '\n'.
std::string RenderTerminal(const cap::RunSummary& summary, const TerminalOptions& options);

}  // namespace moecap::report
