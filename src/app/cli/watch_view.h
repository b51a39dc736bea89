// How `moecap watch` shows its readings: a table that is drawn anew on a terminal, a line each elsewhere, or lines of JSON.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "live/reading.h"

namespace moecap::app {

// "1,234.5 tok/s  batch 16.2  S-MBU 45.1 % (44.0-46.2)  ..."; figures that are not known are "-".
std::string WatchLine(const live::Reading& reading);

// The same one figure a line, with why the others are missing.
std::string WatchTable(const live::Reading& reading, size_t width);

class WatchView {
 public:
  explicit WatchView(bool json);

  // The readings of one look, one a server, always of the same servers; after several what they do together.
  void Show(std::span<const live::Reading> readings);
  void End(std::span<const live::Reading> summaries);

 private:
  bool json_, redraws_;
  int drawn_lines_ = 0;
};

}  // namespace moecap::app
