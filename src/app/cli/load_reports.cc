#include "app/cli/load_reports.h"

#include <nlohmann/json.hpp>
#include <span>

#include "app/cli/output.h"
#include "base/json.h"
#include "report/load_csv.h"
#include "report/load_html.h"
#include "report/load_json.h"
#include "report/load_markdown.h"
#include "report/load_terminal.h"

namespace moecap::app {

Result<std::vector<report::NamedText>> LoadReportFiles(const metrics::LoadTestSummary& summary, ReportFormat format) {
  switch (format) {
    case ReportFormat::kTerminal:
      return std::vector<report::NamedText>{{"report.txt", report::RenderLoadTerminal(summary, {})}};
    case ReportFormat::kHtml:
      return std::vector<report::NamedText>{{"report.html", report::RenderLoadHtml(summary)}};
    case ReportFormat::kMarkdown:
      return std::vector<report::NamedText>{{"report.md", report::RenderLoadMarkdown(summary)}};
    case ReportFormat::kCsv:
      return std::vector<report::NamedText>{{"report.csv", report::RenderLoadCsv(std::span(&summary, 1))}};
    case ReportFormat::kJson:
      return std::vector<report::NamedText>{{"summary.json", DumpJsonPretty(report::LoadTestToJson(summary))}};
    case ReportFormat::kSvg:
    case ReportFormat::kUpstream:
      break;
  }
  return BadInput("a load test has no svg and no upstream format; use terminal, html, markdown, csv or json");
}

std::string LoadTerminalText(const metrics::LoadTestSummary& summary) {
  return report::RenderLoadTerminal(summary, StdoutOptions());
}

void PrintLoadSummary(const metrics::LoadTestSummary& summary, bool json) {
  PrintText(json ? DumpJsonPretty(report::LoadTestToJson(summary)) : LoadTerminalText(summary));
}

Status WriteLoadReports(const metrics::LoadTestSummary& summary, const std::filesystem::path& dir) {
  for (const ReportFormat format : {ReportFormat::kJson, ReportFormat::kHtml, ReportFormat::kMarkdown, ReportFormat::kCsv}) {
    ASSIGN_OR_RETURN(const std::vector<report::NamedText> files, LoadReportFiles(summary, format));
    RETURN_IF_ERROR(WriteFiles(files, dir));
  }
  return {};
}

}  // namespace moecap::app
