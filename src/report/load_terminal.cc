#include "report/load_terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/table.h"
#include "report/load_tables.h"
#include "report/terminal_page.h"

namespace moecap::report {
namespace {

constexpr size_t kLabelWidth = 12;

// Sentences would squeeze the other columns; they follow below the table.
LoadTable WithoutLastColumn(LoadTable table) {
  table.columns.pop_back();
  for (LoadRow& row : table.rows) row.values.pop_back();
  return table;
}

void AddGates(const metrics::LoadCell& cell, TerminalPage& page) {
  page.Table(WithoutLastColumn(LoadGateTable(cell)));
  std::vector<std::string> unjudged;
  for (const metrics::Gate& gate : cell.gates) {
    if (gate.state == metrics::Gate::State::kNotMeasured)
      unjudged.push_back(fmt::format("{}: {}", gate.name, gate.explanation));
  }
  if (!unjudged.empty()) page.Items("Not measured", unjudged);
}

void AddErrors(const metrics::LoadTestSummary& summary, TerminalPage& page) {
  LoadTable table = WithoutLastColumn(LoadErrorTable(summary));
  std::erase_if(table.rows, [](const LoadRow& row) { return row.name.empty(); });  // of further messages
  page.Table(table);
  std::vector<std::string> messages;
  for (const metrics::LoadCell& cell : summary.cells) {
    for (const metrics::ErrorGroup& group : cell.errors)
      messages.insert(messages.end(), group.messages.begin(), group.messages.end());
  }
  if (!messages.empty()) page.Items("Their messages", messages);
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
    AddGates(cell, page);
  }
  AddErrors(summary, page);
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
