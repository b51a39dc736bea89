// What the verbs that show a load test share.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "metrics/load_summary.h"

namespace moecap::app {

// The terminal form at the terminal's width and in its colours, or the JSON form, on stdout.
void PrintLoadSummary(const metrics::LoadTestSummary& summary, bool json);

// summary.json and the reports into `dir`, each atomically.
Status WriteLoadReports(const metrics::LoadTestSummary& summary, const std::filesystem::path& dir);

}  // namespace moecap::app
