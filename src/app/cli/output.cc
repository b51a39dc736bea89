#include "app/cli/output.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "base/fs.h"
#include "base/json.h"
#include "base/nearest_word.h"
#include "report/charts.h"
#include "report/csv.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/summary_json.h"
#include "report/terminal.h"

namespace moecap::app {
namespace {

constexpr std::pair<ReportFormat, const char*> kFormats[] = {
    {ReportFormat::kTerminal, "terminal"}, {ReportFormat::kHtml, "html"}, {ReportFormat::kMarkdown, "markdown"},
    {ReportFormat::kCsv, "csv"},           {ReportFormat::kJson, "json"}, {ReportFormat::kSvg, "svg"},
    {ReportFormat::kUpstream, "upstream"}, {ReportFormat::kVllm, "vllm"}};

}  // namespace

size_t TerminalWidth() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return std::clamp<size_t>(size.ws_col, 60, 132);
  return 80;
}

bool WantsUnicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view locale(value);
    return locale.find("UTF-8") != std::string_view::npos || locale.find("utf8") != std::string_view::npos;
  }
  return true;
}

bool WantsColor(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

void PrintParagraph(const std::string& text, size_t hang) {
  // The first line has the room of the others, and its own indentation stays.
  const size_t indentation = std::min(text.find_first_not_of(' '), text.size());
  std::string begin = text.substr(0, indentation);
  for (const std::string& line : WrapText(text.substr(indentation), TerminalWidth() - std::max(hang, indentation))) {
    fmt::print("{}{}\n", begin, line);
    begin = std::string(hang, ' ');
  }
}

TableOptions TerminalTable() {
  TableOptions options;
  options.width = TerminalWidth();
  options.unicode = WantsUnicode();
  return options;
}

Result<ReportFormat> FindReportFormat(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [format, known] : kFormats) {
    if (name == known) return format;
    names.emplace_back(known);
  }
  const std::string nearest = NearestWord(name, names);
  const std::string hint = nearest.empty() ? "" : fmt::format("did you mean \"{}\"? ", nearest);
  return BadInput(fmt::format("--format {}: not a format; {}there are {}", name, hint, ReportFormatNames()));
}

std::string ReportFormatNames() {
  std::string names;
  for (const auto& [format, name] : kFormats) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

report::TerminalOptions StdoutOptions() {
  report::TerminalOptions options;
  options.width = TerminalWidth();
  options.color = WantsColor(STDOUT_FILENO);
  options.unicode = WantsUnicode();
  return options;
}

std::string TerminalText(const cap::RunSummary& summary) { return report::RenderTerminal(summary, StdoutOptions()); }

void PrintText(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void PrintSummary(const cap::RunSummary& summary, bool json) {
  PrintText(json ? DumpJsonPretty(report::SummaryToJson(summary)) : TerminalText(summary));
}

std::vector<report::NamedText> ReportFiles(const cap::RunSummary& summary, ReportFormat format) {
  std::vector<report::NamedText> files;
  switch (format) {
    case ReportFormat::kTerminal:
      return {{"report.txt", report::RenderTerminal(summary, {})}};
    case ReportFormat::kHtml:
      return {{"report.html", report::RenderHtml(summary)}};
    case ReportFormat::kMarkdown:
      return {{"report.md", report::RenderMarkdown(summary)}};
    case ReportFormat::kCsv:
      return {{"report.csv", report::RenderCsv(std::span(&summary, 1))}};
    case ReportFormat::kJson:
      return {{"summary.json", DumpJsonPretty(report::SummaryToJson(summary))}};
    case ReportFormat::kSvg:
      for (auto& chart : report::AllCharts(summary, report::SvgMode::kStandalone))
        files.push_back({chart.name + ".svg", std::move(chart.svg)});
      return files;
    case ReportFormat::kUpstream:
    case ReportFormat::kVllm:
      break;
  }
  return files;
}

Status WriteFiles(const std::vector<report::NamedText>& files, const std::filesystem::path& dir) {
  RETURN_IF_ERROR(MakeWritableDir(dir));
  for (const auto& file : files) {
    const std::filesystem::path path = dir / file.path;
    if (path.parent_path() != dir) RETURN_IF_ERROR(MakeWritableDir(path.parent_path()));
    RETURN_IF_ERROR(WriteFileAtomically(path, file.text));
  }
  return {};
}

Status WriteReports(const cap::RunSummary& summary, const std::filesystem::path& dir) {
  std::vector<report::NamedText> files;
  for (const ReportFormat format : {ReportFormat::kJson, ReportFormat::kHtml, ReportFormat::kMarkdown, ReportFormat::kCsv}) {
    for (auto& file : ReportFiles(summary, format)) files.push_back(std::move(file));
  }
  for (auto& chart : report::RadarCharts(summary, report::SvgMode::kStandalone))
    files.push_back({chart.name + ".svg", std::move(chart.svg)});
  return WriteFiles(files, dir);
}

}  // namespace moecap::app
