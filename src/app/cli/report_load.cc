#include "app/cli/report_load.h"

#include <fmt/format.h>

#include <utility>

#include "app/cli/load_reports.h"
#include "loadtest/results.h"
#include "loadtest/summarize.h"
#include "report/load_csv.h"

namespace moecap::app {

Status ReportLoadTests(const std::vector<std::filesystem::path>& dirs, std::vector<ReportFormat> formats,
                       const std::string& write_to) {
  if (formats.empty()) formats.push_back(ReportFormat::kTerminal);
  if (formats.size() > 1 && write_to.empty()) return BadInput("several formats are several files; add --write-to DIR");
  std::vector<metrics::LoadTestSummary> tests;
  for (const std::filesystem::path& dir : dirs) {
    ASSIGN_OR_RETURN(const loadtest::LoadResults results, loadtest::LoadResults::Open(dir));
    ASSIGN_OR_RETURN(metrics::LoadTestSummary summary, loadtest::Summarize(results));
    tests.push_back(std::move(summary));
  }
  if (write_to.empty() && formats.front() == ReportFormat::kCsv) {
    PrintText(report::RenderLoadCsv(tests));
    return {};
  }
  for (const metrics::LoadTestSummary& test : tests) {
    if (write_to.empty() && formats.front() == ReportFormat::kTerminal) {
      PrintText(LoadTerminalText(test));
      continue;
    }
    for (const ReportFormat format : formats) {
      ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, LoadReportFiles(test, format));
      if (write_to.empty()) {
        PrintText(files.front().text);
      } else {
        const std::filesystem::path dir(write_to);
        RETURN_IF_ERROR(WriteFiles(files, tests.size() == 1 ? dir : dir / report::PathComponent(test.run_id)));
      }
    }
  }
  if (!write_to.empty()) fmt::print(stderr, "wrote {} files into {}\n", tests.size() * formats.size(), write_to);
  return {};
}

}  // namespace moecap::app
