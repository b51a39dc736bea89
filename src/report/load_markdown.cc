#include "report/load_markdown.h"

#include <fmt/format.h>

#include "report/markdown.h"

namespace moecap::report {
namespace {

std::string Row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const auto& cell : cells) line += " " + cell + " |";
  return line + "\n";
}

std::string Items(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = "\n## " + title + "\n\n";
  for (const auto& item : items) out += "- " + EscapeMarkdown(item) + "\n";
  return out;
}

}  // namespace

std::string MarkdownTable(const LoadTable& table) {
  if (table.rows.empty()) return "";
  std::vector<std::string> head = {EscapeMarkdown(table.key)};
  std::vector<std::string> rule = {"---"};
  for (const auto& column : table.columns) {
    head.push_back(EscapeMarkdown(column.group + (column.group.empty() ? "" : " ") + column.header));
    rule.emplace_back(column.text ? "---" : "--:");
  }
  std::string out = "\n## " + EscapeMarkdown(table.title) + "\n\n" + Row(head) + Row(rule);
  for (const LoadRow& row : table.rows) {
    std::vector<std::string> cells = {EscapeMarkdown(row.name) + (row.bad ? " **!**" : "")};
    for (const auto& value : row.values) cells.push_back(EscapeMarkdown(value));
    out += Row(cells);
  }
  return out;
}

std::string RenderLoadMarkdown(const metrics::LoadTestSummary& original) {
  const metrics::LoadTestSummary summary = Printable(original);
  std::string out = fmt::format("# moecap load test {}\n\n", EscapeMarkdown(summary.run_id));
  for (const auto& warning : LoadWarnings(summary)) out += "> **" + EscapeMarkdown(warning) + "**\n\n";
  out += EscapeMarkdown(LoadHeadline(summary)) + "\n\n";
  for (const auto& [label, text] : DescribeLoadTest(summary)) out += fmt::format("- {}: {}\n", label, EscapeMarkdown(text));
  out += fmt::format("- moecap: {}\n", EscapeMarkdown(summary.moecap_version));
  out += MarkdownTable(LoadCellsTable(summary));
  for (size_t i = 0; i < summary.cells.size(); ++i) {
    const std::string name = LoadCellName(summary, i);
    for (LoadTable table : {LoadLatencyTable(summary.cells[i]), LoadOtherFiguresTable(summary.cells[i]),
                            LoadSteadyTable(summary.cells[i]), LoadGateTable(summary.cells[i])}) {
      if (table.title.find(summary.cells[i].label) == std::string::npos || summary.cells[i].label != name)
        table.title += ", " + name;
      out += MarkdownTable(table);
    }
  }
  out += MarkdownTable(LoadErrorTable(summary));
  if (summary.search)
    out += MarkdownTable(LoadSearchTable(*summary.search)) + "\n" + EscapeMarkdown(summary.search->verdict) + "\n";
  return out + Items("Notes", LoadNotes(summary));
}

}  // namespace moecap::report
