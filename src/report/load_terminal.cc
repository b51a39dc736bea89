#include "report/load_terminal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "report/load_tables.h"
#include "report/terminal_page.h"

namespace moecap::report {
namespace {

constexpr size_t kLabelWidth = 12;

LoadTable TrippedGates(const metrics::LoadTestSummary& summary) {
  LoadTable all;
  for (size_t i = 0; i < summary.cells.size(); ++i) {
    LoadTable table = LoadGateTable(summary.cells[i]);
    const std::string name = LoadCellName(summary, i);
    std::erase_if(table.rows, [](const LoadRow& row) { return !row.bad; });
    if (all.columns.empty()) {
      all.title = "Gates that tripped";
      all.key = "load";
      all.columns = table.columns;
      all.columns.insert(all.columns.begin(), FigureColumn{"", "gate", true});
    }
    for (LoadRow& row : table.rows) {
      row.values.insert(row.values.begin(), row.name);
      row.name = name;
      all.rows.push_back(std::move(row));
    }
  }
  return all;
}

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
  } else {
    page.Table(TrippedGates(summary));
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
