// How `moecap watch` shows its readings: a table that is drawn anew on a terminal, a line each elsewhere, or lines of JSON.
#pragma once

#include <string>

#include "live/reading.h"

namespace moecap::app {

// "1,234.5 tok/s  batch 16.2  S-MBU 45.1 % (44.0-46.2)  ..."; figures that are not known are "-". `experts`: of a layer, 0 =
// none.
std::string WatchLine(const live::Reading& reading, int experts);

// The same one figure a line, with why the others are missing.
std::string WatchTable(const live::Reading& reading, int experts, size_t width);

class WatchView {
 public:
  WatchView(bool json, int experts);

  void Show(const live::Reading& reading);
  void End(const live::Reading& summary);

 private:
  bool json_, redraws_;
  int experts_;
  int drawn_lines_ = 0;
};

}  // namespace moecap::app
