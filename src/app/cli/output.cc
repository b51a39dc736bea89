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
#include "experiment/results.h"
#include "report/experiment_csv.h"
#include "report/experiment_document.h"
#include "report/experiment_json.h"
#include "report/metrics_export.h"
#include "report/render.h"

namespace moecap::app {
namespace {

constexpr std::pair<ReportFormat, const char*> kFormats[] = {
    {ReportFormat::kTerminal, "terminal"}, {ReportFormat::kHtml, "html"}, {ReportFormat::kMarkdown, "markdown"},
    {ReportFormat::kCsv, "csv"},           {ReportFormat::kJson, "json"}, {ReportFormat::kSvg, "svg"},
    {ReportFormat::kUpstream, "upstream"}, {ReportFormat::kVllm, "vllm"}, {ReportFormat::kPrometheus, "prometheus"},
    {ReportFormat::kOtlp, "otlp"}};

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

std::vector<ReportFormat> ReportFormats() {
  std::vector<ReportFormat> formats;
  for (const auto& [format, name] : kFormats) formats.push_back(format);
  return formats;
}

report::TerminalOptions StdoutOptions(bool all) {
  report::TerminalOptions options;
  options.all = all;
  options.width = TerminalWidth();
  options.color = WantsColor(STDOUT_FILENO);
  options.unicode = WantsUnicode();
  return options;
}

void PrintText(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void PrintDocument(const report::Document& document, bool all) {
  PrintText(report::RenderTerminal(document, StdoutOptions(all)));
}

std::string TerminalText(const cap::JudgedExperiment& experiment, bool all) {
  std::string text = report::RenderTerminal(report::ExperimentDocument(experiment), StdoutOptions(all));
  if (!all) text += fmt::format("\nEverything else: moecap report {} --all\n", PrintableText(experiment.summary.run_id));
  return text;
}

void PrintReport(const cap::JudgedExperiment& experiment, bool json, bool all) {
  if (json) return PrintText(DumpJsonPretty(report::ExperimentToJson(experiment)));
  PrintText(TerminalText(experiment, all));
}

std::vector<report::NamedText> ReportFiles(const cap::JudgedExperiment& experiment, ReportFormat format) {
  if (format == ReportFormat::kCsv) return {{"report.csv", report::ExperimentsToCsv(std::span(&experiment, 1))}};
  if (format == ReportFormat::kJson) return {{experiment::kSummaryName, DumpJsonPretty(report::ExperimentToJson(experiment))}};
  if (format == ReportFormat::kPrometheus) return {{"metrics.prom", report::ToPrometheus(std::span(&experiment, 1))}};
  if (format == ReportFormat::kOtlp) return {{"metrics.otlp.json", report::ToOtlpJson(std::span(&experiment, 1))}};
  return ReportFiles(report::ExperimentDocument(experiment), format, {.all = true});
}

std::vector<report::NamedText> ReportFiles(const report::Document& document, ReportFormat format,
                                           const report::TerminalOptions& terminal) {
  std::vector<report::NamedText> files;
  switch (format) {
    case ReportFormat::kTerminal:
      return {{"report.txt", report::RenderTerminal(document, terminal)}};
    case ReportFormat::kHtml:
      return {{"report.html", report::RenderHtml(document)}};
    case ReportFormat::kMarkdown:
      return {{"report.md", report::RenderMarkdown(document)}};
    case ReportFormat::kCsv:
      return {{"report.csv", report::RenderCsv(document)}};
    case ReportFormat::kSvg:
      for (auto& [name, svg] : report::RenderSvgs(document)) files.push_back({name + ".svg", std::move(svg)});
      return files;
    case ReportFormat::kJson:
    case ReportFormat::kUpstream:
    case ReportFormat::kVllm:
    case ReportFormat::kPrometheus:
    case ReportFormat::kOtlp:
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

Status WriteReports(const cap::JudgedExperiment& experiment, const std::filesystem::path& dir) {
  std::vector<report::NamedText> files;
  for (const ReportFormat format : {ReportFormat::kJson, ReportFormat::kHtml, ReportFormat::kMarkdown, ReportFormat::kCsv}) {
    for (auto& file : ReportFiles(experiment, format)) files.push_back(std::move(file));
  }
  for (auto& file : ReportFiles(experiment, ReportFormat::kSvg)) {
    if (file.path == "cap-radar.svg") files.push_back(std::move(file));
  }
  return WriteFiles(files, dir);
}

void NameReports(const std::filesystem::path& dir) { fmt::print(stderr, "\nreport: {}\n", (dir / "report.html").string()); }

}  // namespace moecap::app
