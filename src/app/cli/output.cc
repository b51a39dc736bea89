#include "app/cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/fs.h"
#include "base/json.h"
#include "report/charts.h"
#include "report/csv.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/summary_json.h"
#include "report/terminal.h"

namespace moecap::app {

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

void PrintSummary(const cap::RunSummary& summary, bool json) {
  std::string text;
  if (json) {
    text = DumpJsonPretty(report::SummaryToJson(summary));
  } else {
    report::TerminalOptions options;
    options.width = TerminalWidth();
    options.color = WantsColor(STDOUT_FILENO);
    options.unicode = WantsUnicode();
    text = report::RenderTerminal(summary, options);
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Status WriteReports(const cap::RunSummary& summary, const std::filesystem::path& dir) {
  RETURN_IF_ERROR(WriteFileAtomically(dir / "summary.json", DumpJsonPretty(report::SummaryToJson(summary))));
  RETURN_IF_ERROR(WriteFileAtomically(dir / "report.html", report::RenderHtml(summary)));
  for (const report::Chart& chart : report::RadarCharts(summary, report::SvgMode::kStandalone)) {
    RETURN_IF_ERROR(WriteFileAtomically(dir / (chart.name + ".svg"), chart.svg));
  }
  RETURN_IF_ERROR(WriteFileAtomically(dir / "report.md", report::RenderMarkdown(summary)));
  return WriteFileAtomically(dir / "report.csv", report::RenderCsv(summary));
}

}  // namespace moecap::app
