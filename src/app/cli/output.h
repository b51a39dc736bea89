// What the verbs that end in a report share: printing it for this terminal and writing its files.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "cap/summary.h"

namespace moecap::app {

// The report on stdout: the terminal form at the terminal's width, or the JSON form.
void PrintSummary(const cap::RunSummary& summary, bool json);

// summary.json, report.html, cap-radar.svg, report.md and report.csv into `dir`, each atomically.
Status WriteReports(const cap::RunSummary& summary, const std::filesystem::path& dir);

// Whether `fd` shows text to a person who wants colours (NO_COLOR and TERM=dumb are respected).
bool WantsColor(int fd);

}  // namespace moecap::app
