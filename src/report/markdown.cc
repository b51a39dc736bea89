#include "report/markdown.h"

#include <fmt/format.h>

#include "base/table.h"
#include "base/units.h"
#include "report/charts.h"
#include "report/figures.h"
#include "report/words.h"

namespace moecap::report {
namespace {

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (std::string_view("\\`*_[]|#~").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string Row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const auto& cell : cells) line += " " + cell + " |";
  return line + "\n";
}

std::string TableText(const RunSummary& summary, const FigureTable& table) {
  std::vector<std::string> head = {"system", "concurrency"};
  std::vector<std::string> rule = {"---", "--:"};
  for (const auto& column : table.columns) {
    head.push_back(Escape(column.group + (column.group.empty() ? "" : " ") + column.header));
    rule.emplace_back("--:");
  }
  std::string out = fmt::format("\n## {}\n\n{}{}", table.title, Row(head), Row(rule));
  for (const auto& row : table.rows) {
    std::vector<std::string> cells = {Escape(summary.systems[row.system].name),
                                      std::to_string(row.concurrency) + (row.valid ? "" : " **!**")};
    for (const auto& value : row.values) cells.push_back(Escape(value));
    out += Row(cells);
  }
  return out;
}

std::string SystemsText(const RunSummary& summary) {
  std::string out = "\n## Systems\n\n" +
                    Row({"system", "description", "weights", "size", "parameters", "active", "experts", "compute ceiling"}) +
                    Row({"---", "---", "---", "--:", "--:", "--:", "---", "---"});
  for (const auto& row : DescribeSystems(summary)) {
    out += Row({Escape(row.name), Escape(row.description), Escape(row.weights), row.size, row.parameters, row.active,
                row.experts, row.ceiling.empty() ? kMissing : Escape(row.ceiling)});
  }
  return out;
}

std::string CapText(const RunSummary& summary) {
  if (summary.cap.empty()) return "";
  std::string out = fmt::format("\n## CAP at concurrency {}\n\n", summary.cap_concurrency);
  out +=
      Row({"system", "cost", "accuracy", "performance", "class", "reason"}) + Row({"---", "--:", "--:", "--:", "---", "---"});
  const auto score = [](std::optional<double> value) { return value ? FormatFixed(*value, 0) : kMissing; };
  for (const auto& scores : summary.cap) {
    const std::string support = ClassSupport(scores, summary.cap_resamples);
    out += Row({Escape(scores.system), score(scores.cost), score(scores.accuracy), score(scores.performance),
                cap::CapClassName(scores.cap_class), Escape(CapReason(scores) + (support.empty() ? "" : " " + support))});
  }
  return out + "\n" + CapScaleNote(summary) + "\n";
}

std::string List(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = "\n" + (title.empty() ? "" : "**" + title + "**\n\n");
  for (const auto& item : items) out += "- " + Escape(item) + "\n";
  return out;
}

std::string GridText(const std::string& title, const std::string& lead, const PlotTable& table) {
  if (table.rows.empty()) return "";
  std::vector<std::string> head;
  for (const auto& name : table.head) head.push_back(Escape(name));
  std::string out = fmt::format("\n## {}\n\n{}{}{}", title, lead.empty() ? "" : Escape(lead) + "\n\n", Row(head),
                                Row(std::vector<std::string>(head.size(), "---")));
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (const auto& cell : row) cells.push_back(Escape(cell));
    out += Row(cells);
  }
  return out;
}

std::string AdviceText(const RunSummary& summary) {
  const Advice advice = BuildAdvice(summary);
  return GridText("The paper's advice beside what was measured", advice.source, advice.table);
}

// What each chart of the page says in a line.
PlotTable TradeOffs(const RunSummary& summary) {
  PlotTable table{{"picture", "reading"}, {}};
  for (const auto& charts : {ParetoCharts(summary, SvgMode::kFragment), RooflineCharts(summary, SvgMode::kFragment),
                             CurveCharts(summary, SvgMode::kFragment)}) {
    for (const auto& chart : charts) {
      if (!chart.reading.empty()) table.rows.push_back({chart.name, chart.reading});
    }
  }
  return table;
}

}  // namespace

std::string RenderMarkdown(const RunSummary& original) {
  const RunSummary summary = Printable(original);
  const Verdict verdict = MakeVerdict(summary);
  std::string out = fmt::format("# moecap run {}\n\n", Escape(summary.run_id));
  if (!summary.complete) out += "> **" + IncompleteWarning() + "**\n\n";
  out += Escape(verdict.headline) + "\n" + List("", verdict.findings) + "\n";
  for (const auto& [label, text] : DescribeRun(summary)) out += fmt::format("- {}: {}\n", label, Escape(text));
  out += fmt::format("- moecap: {}\n", Escape(summary.moecap_version));
  out += CapText(summary) + SystemsText(summary);
  for (const auto& table : BuildTables(summary)) out += TableText(summary, table);
  out += List("Marks", LegendNotes(summary)) + List("CAP axes", AxisNotes(summary)) + List("Conventions", ConventionNotes());
  out += List("Not valid", InvalidNotes(summary)) + List("Not measured", MissingNotes(summary));
  out += GridText("Trade-offs", "", TradeOffs(summary)) + AdviceText(summary);
  out += GridText("Machine hour, USD", "", HourlyCosts(summary)) + List("Cost basis", CostNotes(summary));
  return out + List("Cost inputs", summary.host.cost_inputs);
}

}  // namespace moecap::report
