// How text for a terminal is laid out.
#pragma once

#include <cstddef>

namespace moecap::report {

struct TerminalOptions {
  size_t width = 80;    // columns; below 40 counts as 40
  bool color = false;   // ANSI colours
  bool unicode = true;  // false: 7-bit output
  bool all = false;     // false: warnings, headline and the first screen only
};

}  // namespace moecap::report
