#include "report/load_html.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/html.h"
#include "report/html_parts.h"
#include "report/load_charts.h"
#include "report/load_tables.h"
#include "report/svg.h"

namespace moecap::report {
namespace {

using metrics::LoadTestSummary;

constexpr size_t kMostLatencyTables = 12;
constexpr size_t kFewColumns = 3;  // that fit on a phone beside the rows' names

std::string TableHead(const LoadTable& table) {
  const bool groups = std::ranges::any_of(table.columns, [](const FigureColumn& column) { return !column.group.empty(); });
  const std::string span = groups ? " rowspan=\"2\"" : "";
  std::string top = fmt::format("<tr><th scope=\"col\"{} class=\"sys left\">{}</th>", span, EscapeXml(table.key));
  std::string bottom = "<tr>";
  for (size_t begin = 0; begin < table.columns.size();) {
    const FigureColumn& first = table.columns[begin];
    size_t end = begin + 1;
    while (end < table.columns.size() && !first.group.empty() && table.columns[end].group == first.group) ++end;
    if (first.group.empty()) {
      top += fmt::format("<th scope=\"col\"{}{}>{}</th>", span, first.text ? " class=\"w\"" : "", EscapeXml(first.header));
    } else {
      top += fmt::format("<th scope=\"colgroup\" colspan=\"{}\" class=\"group\"><span>{}</span></th>", end - begin,
                         EscapeXml(first.group));
      for (size_t i = begin; i < end; ++i) bottom += "<th scope=\"col\">" + EscapeXml(table.columns[i].header) + "</th>";
    }
    begin = end;
  }
  return "<thead>\n" + top + "</tr>\n" + (groups ? bottom + "</tr>\n" : "") + "</thead>\n";
}

std::string CellLabel(const FigureColumn& column) {
  return EscapeXml(column.group.empty() ? column.header : column.group + " " + column.header);
}

std::string TableText(const LoadTable& table) {
  if (table.rows.empty()) return "";
  const bool few = table.columns.size() <= kFewColumns && std::ranges::none_of(table.columns, &FigureColumn::text);
  std::string out = fmt::format("<div class=\"scroll\"><table{}>\n<caption>{}</caption>\n{}<tbody>\n",
                                few ? " class=\"few\"" : "", EscapeXml(table.title), TableHead(table));
  for (const LoadRow& row : table.rows) {
    out += fmt::format("<tr{}><th scope=\"row\" class=\"sys\">{}{}</th>", row.bad ? " class=\"bad\"" : "", EscapeXml(row.name),
                       row.bad ? " <span class=\"failed\">!</span>" : "");
    for (size_t i = 0; i < row.values.size(); ++i) {
      const FigureColumn& column = table.columns[i];
      AppendCell(out, few ? "" : CellLabel(column), row.values[i], column.text ? "w" : "");
    }
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table></div>\n";
}

std::string Header(const LoadTestSummary& summary) {
  std::string out = "<header>\n";
  out += fmt::format("<p class=\"kicker\">moecap: load test <code>{}</code>{}</p>\n", EscapeXml(summary.run_id),
                     summary.name.empty() ? "" : ", " + EscapeXml(summary.name));
  for (const auto& warning : LoadWarnings(summary)) out += "<p class=\"alarm\" role=\"alert\">" + EscapeXml(warning) + "</p>\n";
  out += "<h1>" + EscapeXml(LoadHeadline(summary)) + "</h1>\n<dl class=\"meta\">\n";
  for (const auto& [label, text] : DescribeLoadTest(summary))
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", EscapeXml(label), EscapeXml(text));
  return out + "</dl>\n</header>\n";
}

std::string Section(const char* id, const char* title, const std::string& body) {
  return body.empty() ? "" : fmt::format("<h2 id=\"{}\">{}</h2>\n", id, title) + body;
}

// The tables of each cell, folded where there are several.
std::string CellSections(const LoadTestSummary& summary) {
  std::string out;
  for (size_t i = 0; i < summary.cells.size() && i < kMostLatencyTables; ++i) {
    const metrics::LoadCell& cell = summary.cells[i];
    const std::string tables = TableText(LoadLatencyTable(cell)) + TableText(LoadOtherFiguresTable(cell)) +
                               TableText(LoadSteadyTable(cell)) + TableText(LoadGateTable(cell));
    if (tables.empty()) continue;
    if (summary.cells.size() == 1) return tables;
    out += fmt::format("<details><summary>{}{}</summary>\n{}</details>\n", EscapeXml(LoadCellName(summary, i)),
                       cell.IsValid() ? "" : " (not valid)", tables);
  }
  if (summary.cells.size() > kMostLatencyTables)
    out += fmt::format("<p class=\"lead\">{} more loads are in the JSON and CSV of this test.</p>\n",
                       summary.cells.size() - kMostLatencyTables);
  return out;
}

std::string SearchText(const LoadTestSummary& summary) {
  if (!summary.search) return "";
  return "<p>" + EscapeXml(summary.search->verdict) + "</p>\n" + TableText(LoadSearchTable(*summary.search));
}

}  // namespace

std::string RenderLoadHtml(const LoadTestSummary& original) {
  const LoadTestSummary summary = Printable(original);
  const auto grid = [](const std::vector<Chart>& charts) { return HtmlFigures("grid2", charts); };
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n";
  out += fmt::format("<meta name=\"generator\" content=\"moecap {}\"/>\n<title>moecap load: {}</title>\n<style>",
                     EscapeXml(summary.moecap_version), EscapeXml(summary.run_id));
  out += ChartStyle();
  out += PageStyle();
  out += "</style>\n</head>\n<body>\n" + Header(summary) + "<main>\n";
  out += Section("loads", "Loads", TableText(LoadCellsTable(summary)));
  out += Section("search", "Highest load that keeps the objectives", SearchText(summary));
  out += Section("sweep", "Effect of the load", grid(LoadSweepCharts(summary, SvgMode::kFragment)));
  out += Section("distributions", "Distributions", grid(LoadDistributionCharts(summary, SvgMode::kFragment)));
  out += Section("latency", "Latency, steady part and validity gates", CellSections(summary));
  out += Section("concurrency", "Requests in flight", grid(LoadConcurrencyCharts(summary, SvgMode::kFragment)));
  out += Section("errors", "Errors", TableText(LoadErrorTable(summary)));
  out += Section("notes", "Notes", HtmlItems("notes", LoadNotes(summary)));
  out += fmt::format("</main>\n<footer>moecap {}, load test {}, {}</footer>\n</body>\n</html>\n",
                     EscapeXml(summary.moecap_version), EscapeXml(summary.run_id), EscapeXml(summary.started_at));
  return out;
}

}  // namespace moecap::report
