#include "report/html_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/layout.h"
#include "report/svg.h"

namespace moecap::report {
namespace {

// So many columns fit on a phone; with more, a phone shows the rows one below the other, each value under its label.
constexpr size_t kFewColumns = 4;

bool FitsPhone(const Grid& grid) {
  const auto is_text = [](const GridColumn& column) { return column.kind == ColumnKind::kText; };
  return !grid.grouped && grid.columns.size() <= kFewColumns && std::ranges::none_of(grid.columns, is_text);
}

const char* Css(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kKey:
      return "left";
    case ColumnKind::kWord:
      return "word";
    case ColumnKind::kText:
      return "w";
    case ColumnKind::kFigure:
      break;
  }
  return "";
}

std::string ClassOf(const std::string& css) { return css.empty() ? "" : " class=\"" + css + "\""; }

std::string Head(const Grid& grid) {
  const bool groups = std::ranges::any_of(grid.columns, [](const GridColumn& column) { return !column.group.empty(); });
  const std::string span = groups ? " rowspan=\"2\"" : "";
  std::string top = "<tr>";
  std::string bottom = "<tr>";
  if (grid.grouped) top += fmt::format("<th scope=\"col\"{} class=\"sys left\">{}</th>", span, EscapeXml(grid.group_header));
  for (size_t begin = 0; begin < grid.columns.size();) {
    const GridColumn& first = grid.columns[begin];
    size_t end = begin + 1;
    while (end < grid.columns.size() && !first.group.empty() && grid.columns[end].group == first.group) ++end;
    if (first.group.empty()) {
      const bool names = begin == 0 && !grid.grouped && first.kind == ColumnKind::kKey;
      top += fmt::format("<th scope=\"col\"{}{}>{}</th>", span, ClassOf(names ? "sys left" : Css(first.kind)),
                         EscapeXml(first.header));
    } else {
      top += fmt::format("<th scope=\"colgroup\" colspan=\"{}\" class=\"group\"><span>{}</span></th>", end - begin,
                         EscapeXml(first.group));
      for (size_t i = begin; i < end; ++i)
        bottom +=
            fmt::format("<th scope=\"col\"{}>{}</th>", ClassOf(Css(grid.columns[i].kind)), EscapeXml(grid.columns[i].header));
    }
    begin = end;
  }
  return "<thead>\n" + top + "</tr>\n" + (groups ? bottom + "</tr>\n" : "") + "</thead>\n";
}

std::string CellText(const GridCell& cell, const std::string& id) {
  std::string text = EscapeXml(cell.text);
  if (!cell.invalid && cell.footnote == 0) return text;
  if (cell.invalid) text += "<span class=\"failed\">!</span>";
  if (cell.footnote > 0) text += fmt::format("<sup><a href=\"#{}-{}\">{}</a></sup>", id, cell.footnote, cell.footnote);
  // One element, since a phone lays the parts of a cell out one below the other.
  return "<span>" + text + "</span>";
}

std::string Marker(const GridRow& row) { return row.marker ? MarkerIcon(*row.marker) + " " : ""; }

// `first`: the cell names the row, and no group does so before it.
std::string CellElement(const GridRow& row, size_t i, bool first, const GridColumn& column, const std::string& label,
                        const std::string& id) {
  const GridCell& cell = row.cells[i];
  const std::string data = label.empty() ? "" : " data-l=\"" + label + "\"";
  if (column.kind == ColumnKind::kKey)
    return fmt::format("<th scope=\"row\" class=\"{}\"{}>{}{}</th>", first ? "sys" : "key", first ? "" : data,
                       first ? Marker(row) : "", CellText(cell, id));
  if (cell.text.empty())
    return column.kind == ColumnKind::kFigure ? fmt::format("<td class=\"none\"{}>–{}</td>", data, CellText(cell, id))
                                              : fmt::format("<td class=\"blank\">{}</td>", CellText(cell, id));
  std::string css = Css(column.kind);
  if (cell.best) css += css.empty() ? "best" : " best";
  return fmt::format("<td{}{}>{}</td>", ClassOf(css), data, CellText(cell, id));
}

std::string Body(const Grid& grid, const std::string& id) {
  const bool few = FitsPhone(grid);
  std::vector<std::string> labels;
  for (const GridColumn& column : grid.columns) labels.push_back(few ? "" : EscapeXml(column.label));
  std::string out = "<tbody>\n";
  for (const GridRow& row : grid.rows) {
    if (row.group_rows > 0 && &row != &grid.rows.front()) out += "</tbody>\n<tbody>\n";
    out += row.invalid ? "<tr class=\"bad\">" : "<tr>";
    if (row.group_rows > 0)
      out += fmt::format("<th scope=\"rowgroup\" rowspan=\"{}\" class=\"sys\">{}{}</th>", row.group_rows, Marker(row),
                         EscapeXml(row.group));
    for (size_t i = 0; i < row.cells.size(); ++i)
      out += CellElement(row, i, i == 0 && !grid.grouped, grid.columns[i], labels[i], id);
    out += "</tr>\n";
  }
  return out + "</tbody>\n";
}

}  // namespace

std::string HtmlTable(const Table& table, const std::string& id, bool caption) {
  const Grid grid = MakeGrid(table);
  const std::string label = EscapeXml(table.title);
  std::string out = "<div class=\"scroll\"";
  if (!label.empty()) out += fmt::format(" role=\"region\" aria-label=\"{}\" tabindex=\"0\"", label);
  out += fmt::format("><table{}>\n", FitsPhone(grid) ? " class=\"few\"" : "");
  if (caption && !label.empty()) out += "<caption>" + label + "</caption>\n";
  out += Head(grid) + Body(grid, id) + "</table></div>\n";
  if (!grid.footnotes.empty()) out += "<ol class=\"footnotes\">\n";
  for (size_t i = 0; i < grid.footnotes.size(); ++i)
    out += fmt::format("<li id=\"{}-{}\">{}</li>\n", id, i + 1, EscapeXml(grid.footnotes[i]));
  if (!grid.footnotes.empty()) out += "</ol>\n";
  if (!table.notes.empty()) out += "<ul class=\"notes\">\n";
  for (const auto& note : table.notes) out += "<li>" + EscapeXml(note) + "</li>\n";
  return table.notes.empty() ? out : out + "</ul>\n";
}

}  // namespace moecap::report
