// What the verbs that end in a report share: printing it for this terminal and writing its files.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "cap/summary.h"

namespace moecap::app {

// The report on stdout: the terminal form at the terminal's width, or the JSON form.
void PrintSummary(const cap::RunSummary& summary, bool json);

// summary.json, report.html, cap-radar.svg, report.md and report.csv into `dir`, each atomically.
Status WriteReports(const cap::RunSummary& summary, const std::filesystem::path& dir);

// Columns of the terminal on stdout, 60 to 132; 80 when it is no terminal.
size_t TerminalWidth();

// A locale that names UTF-8, or none at all (then output goes to a file or a build log, which is UTF-8 today).
bool WantsUnicode();

// Whether `fd` shows text to a person who wants colours (NO_COLOR and TERM=dumb are respected).
bool WantsColor(int fd);

}  // namespace moecap::app
