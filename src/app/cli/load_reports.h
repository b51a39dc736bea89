// What the verbs that show a load test share.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/cli/output.h"
#include "base/result.h"
#include "metrics/load_summary.h"

namespace moecap::app {

// The terminal form at the terminal's width and in its colours, or the JSON form, on stdout.
std::string LoadTerminalText(const metrics::LoadTestSummary& summary);
void PrintLoadSummary(const metrics::LoadTestSummary& summary, bool json);

// Error: kBadInput for a format that load tests do not have.
Result<std::vector<report::NamedText>> LoadReportFiles(const metrics::LoadTestSummary& summary, ReportFormat format);

// summary.json, report.html, report.md and report.csv into `dir`, each atomically.
Status WriteLoadReports(const metrics::LoadTestSummary& summary, const std::filesystem::path& dir);

}  // namespace moecap::app
