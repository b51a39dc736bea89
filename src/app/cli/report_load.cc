#include "app/cli/report_load.h"

#include <fmt/format.h>

#include <utility>

#include "app/cli/load_reports.h"
#include "loadtest/results.h"
#include "loadtest/summarize.h"
#include "report/load_csv.h"

namespace moecap::app {
namespace {

struct LoadTest {
  loadtest::LoadResults results;
  metrics::LoadTestSummary summary;
};

Result<std::vector<report::NamedText>> FilesOf(const LoadTest& test, ReportFormat format, const VllmFlags& vllm) {
  if (format != ReportFormat::kVllm) return LoadReportFiles(test.summary, format);
  ASSIGN_OR_RETURN(const std::vector<MeasuredRequests> measured, MeasuredOf(test.results));
  return VllmFiles(measured, vllm);
}

Status Print(const std::vector<LoadTest>& tests, ReportFormat format, const VllmFlags& vllm) {
  if (format == ReportFormat::kCsv) {
    std::vector<metrics::LoadTestSummary> summaries;
    for (const LoadTest& test : tests) summaries.push_back(test.summary);
    PrintText(report::RenderLoadCsv(summaries));
    return {};
  }
  for (const LoadTest& test : tests) {
    if (format == ReportFormat::kTerminal) {
      PrintText(LoadTerminalText(test.summary));
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, FilesOf(test, format, vllm));
    for (const report::NamedText& file : files) PrintText(file.text);
  }
  return {};
}

}  // namespace

std::vector<ReportFormat> LoadReportFormats() {
  return {ReportFormat::kTerminal, ReportFormat::kHtml, ReportFormat::kMarkdown,
          ReportFormat::kCsv,      ReportFormat::kJson, ReportFormat::kVllm};
}

Status ReportLoadTests(const std::vector<std::filesystem::path>& dirs, std::vector<ReportFormat> formats, const VllmFlags& vllm,
                       const std::string& write_to) {
  if (formats.empty()) formats.push_back(ReportFormat::kTerminal);
  std::vector<LoadTest> tests;
  for (const std::filesystem::path& dir : dirs) {
    ASSIGN_OR_RETURN(loadtest::LoadResults results, loadtest::LoadResults::Open(dir));
    ASSIGN_OR_RETURN(metrics::LoadTestSummary summary, loadtest::Summarize(results));
    tests.push_back({std::move(results), std::move(summary)});
  }
  if (write_to.empty()) return Print(tests, formats.front(), vllm);
  size_t written = 0;
  for (const LoadTest& test : tests) {
    const std::filesystem::path dir(write_to);
    for (const ReportFormat format : formats) {
      ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, FilesOf(test, format, vllm));
      RETURN_IF_ERROR(WriteFiles(files, tests.size() == 1 ? dir : dir / report::PathComponent(test.summary.run_id)));
      written += files.size();
    }
  }
  fmt::print(stderr, "wrote {} files into {}\n", written, write_to);
  return {};
}

}  // namespace moecap::app
