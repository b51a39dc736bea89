// The CAP radar drawn with characters: Braille dots, or plain ASCII.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cap/cap_scores.h"

namespace moecap::report {

struct TerminalRadarOptions {
  size_t columns = 39;  // width of the drawing; the height follows from it
  bool unicode = true;
  bool color = false;
};

// Lines without '\n', each exactly `columns` cells wide: a triangle with Accuracy up, Cost lower left, Performance lower right,
// one polygon a system, its corners marked with SystemMark(i). A system that lacks a score is drawn where it has scores.
std::vector<std::string> DrawTerminalRadar(const std::vector<cap::CapScores>& scores, const TerminalRadarOptions& options);

// The symbol of system `index` on the terminal: ●▲■◆... or, without Unicode, letters from A.
std::string SystemMark(size_t index, bool unicode);

// The ANSI sequence that switches to the colour of system `index`, and the one that switches back.
std::string SystemColor(size_t index);
inline constexpr const char* kColorOff = "\x1b[0m";

}  // namespace moecap::report
