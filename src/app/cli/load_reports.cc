#include "app/cli/load_reports.h"

#include <nlohmann/json.hpp>

#include "app/cli/output.h"
#include "base/fs.h"
#include "base/json.h"
#include "report/load_json.h"
#include "report/load_terminal.h"

namespace moecap::app {

void PrintLoadSummary(const metrics::LoadTestSummary& summary, bool json) {
  PrintText(json ? DumpJsonPretty(report::LoadTestToJson(summary)) : report::RenderLoadTerminal(summary, StdoutOptions()));
}

Status WriteLoadReports(const metrics::LoadTestSummary& summary, const std::filesystem::path& dir) {
  return WriteFileAtomically(dir / "summary.json", DumpJsonPretty(report::LoadTestToJson(summary)));
}

}  // namespace moecap::app
