#include "report/comparison_markdown.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "report/comparison_tables.h"
#include "report/markdown.h"

namespace moecap::report {
namespace {

std::string Row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const auto& cell : cells) line += " " + cell + " |";
  return line + "\n";
}

std::string TableText(const cap::Comparison& comparison, const ComparisonTable& table) {
  std::vector<std::string> head = {"system"};
  std::vector<std::string> rule = {"---"};
  for (const auto& column : table.columns) {
    head.push_back(EscapeMarkdown(column.group + (column.group.empty() ? "" : " ") + column.header));
    rule.emplace_back(column.words ? "---" : "--:");
  }
  std::string out = fmt::format("\n## {}\n\n{}{}", EscapeMarkdown(table.title), Row(head), Row(rule));
  for (size_t i = 0; i < table.rows.size(); ++i) {
    std::vector<std::string> cells = {EscapeMarkdown(comparison.systems[i].label)};
    for (const auto& value : table.rows[i]) cells.push_back(EscapeMarkdown(value));
    out += Row(cells);
  }
  return out;
}

std::string Section(std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string out = fmt::format("\n## {}\n\n", title);
  for (const auto& line : lines) out += "- " + EscapeMarkdown(line) + "\n";
  return out;
}

}  // namespace

std::string RenderComparisonMarkdown(const cap::Comparison& original) {
  const cap::Comparison comparison = Printable(original);
  std::string out = fmt::format("# moecap compare: {}\n\n", EscapeMarkdown(Headline(comparison)));
  for (const auto& warning : comparison.warnings) out += "> **" + EscapeMarkdown(warning) + "**\n\n";
  for (const auto& [label, text] : DescribeComparison(comparison))
    out += fmt::format("- {}: {}\n", label, EscapeMarkdown(text));
  out += Section("Not valid", InvalidLines(comparison));
  for (const auto& table : FigureTables(comparison)) out += TableText(comparison, table);
  out += TableText(comparison, ScoreTable(comparison)) + "\n";
  for (const auto& system : comparison.systems) out += "- " + EscapeMarkdown(ClassSentence(system)) + "\n";
  out += Section("Pareto fronts", FrontLines(comparison));
  out += Section("MoE-CAP's decision matrix", AdviceLines(comparison));
  out += Section("Notes", comparison.notes);
  return out + Section("What the figures rest on", MethodLines(comparison));
}

}  // namespace moecap::report
