#include "report/load_terminal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "report/load_tables.h"
#include "report/terminal_page.h"

namespace moecap::report {
namespace {

constexpr size_t kLabelWidth = 12;

}  // namespace

std::string RenderLoadTerminal(const metrics::LoadTestSummary& original, const TerminalOptions& options) {
  TerminalOptions usable = options;
  usable.width = std::max<size_t>(usable.width, 40);
  const metrics::LoadTestSummary summary = Printable(original);
  TerminalPage page(usable);
  page.Text("", fmt::format("moecap {}, load test {}", summary.moecap_version, summary.run_id), TerminalPage::kBold);
  for (const auto& warning : LoadWarnings(summary)) page.Text("! ", warning, TerminalPage::kRed);
  for (const auto& [label, text] : DescribeLoadTest(summary)) page.Text(PadRight(label, kLabelWidth), text);
  page.Table(LoadCellsTable(summary));
  if (summary.cells.size() == 1) {
    const metrics::LoadCell& cell = summary.cells.front();
    page.Table(LoadLatencyTable(cell));
    page.Table(LoadOtherFiguresTable(cell));
    page.Table(LoadSteadyTable(cell));
    page.Table(LoadGateTable(cell));
  }
  page.Table(LoadErrorTable(summary));
  if (summary.search) {
    page.Table(LoadSearchTable(*summary.search));
    page.Text("", summary.search->verdict);
  }
  page.Items("Notes", LoadNotes(summary));
  if (!summary.cells.empty()) {
    page.Title(LoadHeadline(summary));
  }
  return page.Take();
}

}  // namespace moecap::report
