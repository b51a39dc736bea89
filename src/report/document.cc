#include "report/document.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "report/layout.h"
#include "report/plot_table.h"

namespace moecap::report {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;  // clang 14 needs to be told

std::string WithUnit(const std::string& name, const std::string& unit) {
  if (unit.empty()) return name;
  return name.empty() ? unit : name + " (" + unit + ")";
}

// One column of a run that shares its group; `shared`: with its unit too. `deep`: the table has two lines of headings, so that
// a column of its own has room for its unit in the second.
GridColumn MakeColumn(const Column& column, bool shared, bool deep) {
  GridColumn made;
  made.kind = column.kind;
  made.group = shared ? WithUnit(column.group, column.unit) : column.group;
  made.header = shared ? column.header : WithUnit(column.header, column.unit);
  made.label = made.group.empty() || made.header.empty() ? made.group + made.header : made.group + " " + made.header;
  if (!column.phone_label.empty()) made.label = column.phone_label;
  if (deep && column.group.empty() && !column.header.empty() && !column.unit.empty() && column.kind != ColumnKind::kKey) {
    made.group = column.header;
    made.header = column.unit;
  }
  return made;
}

std::vector<GridColumn> MakeColumns(const std::vector<Column>& columns) {
  const bool deep = std::ranges::any_of(columns, [](const Column& column) { return !column.group.empty(); });
  std::vector<GridColumn> out;
  for (size_t begin = 0; begin < columns.size();) {
    const Column& first = columns[begin];
    size_t end = begin + 1;
    while (end < columns.size() && !first.group.empty() && columns[end].group == first.group) ++end;
    const auto same_unit = [&](const Column& column) { return column.unit == first.unit; };
    const bool shared = !first.group.empty() && std::all_of(&first, &first + (end - begin), same_unit);
    for (; begin < end; ++begin) out.push_back(MakeColumn(columns[begin], shared, deep));
  }
  return out;
}

size_t FootnoteOf(const std::string& note, std::vector<std::string>& footnotes) {
  if (note.empty()) return 0;
  const auto found = std::ranges::find(footnotes, note);
  const size_t place = static_cast<size_t>(found - footnotes.begin());
  if (found == footnotes.end()) footnotes.push_back(note);
  return place + 1;
}

void CountGroups(std::vector<GridRow>& rows) {
  for (size_t begin = 0; begin < rows.size();) {
    size_t end = begin + 1;
    while (end < rows.size() && rows[end].group == rows[begin].group) ++end;
    rows[begin].group_rows = end - begin;
    begin = end;
  }
}

void CheckPlotIds(const Section& section, std::set<std::string>& ids) {
  for (const Block& block : section.blocks) {
    if (const auto* figure = std::get_if<Figure>(&block)) CHECK(ids.insert(FrameOf(figure->plot).id).second);
  }
  for (const Section& part : section.parts) CheckPlotIds(part, ids);
}

}  // namespace

Cell Estimate(Cell cell) {
  cell.estimate = true;
  return cell;
}

Cell Invalid(Cell cell) {
  cell.invalid = true;
  return cell;
}

Cell Best(Cell cell) {
  cell.best = true;
  return cell;
}

Cell WithNote(Cell cell, std::string note) {
  cell.note = std::move(note);
  return cell;
}

const PlotFrame& FrameOf(const Plot& plot) {
  return std::visit([](const auto& drawn) -> const PlotFrame& { return drawn.frame; }, plot);
}

Table TableFor(const Plot& plot) {
  const PlotTable figures = std::visit([](const auto& drawn) { return TableOf(drawn); }, plot);
  Table table;
  table.name = FrameOf(plot).id;
  table.title = FrameOf(plot).title;
  for (const auto& name : figures.head) table.columns.push_back({.header = name});
  if (!table.columns.empty()) table.columns.front().kind = ColumnKind::kKey;
  for (const auto& row : figures.rows) {
    Row cells;
    for (const auto& text : row) cells.cells.emplace_back(text == "-" ? "" : text);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

void AddColumn(Table& table, Column column, std::vector<Cell> cells) {
  CHECK(cells.size() == table.rows.size());
  table.columns.push_back(std::move(column));
  for (size_t i = 0; i < cells.size(); ++i) table.rows[i].cells.push_back(std::move(cells[i]));
}

void DropEmptyColumns(Table& table) {
  for (size_t i = table.columns.size(); i-- > 0;) {
    const auto empty = [i](const Row& row) { return row.cells[i].text.empty(); };
    if (table.columns[i].kind == ColumnKind::kKey || !std::ranges::all_of(table.rows, empty)) continue;
    table.columns.erase(table.columns.begin() + static_cast<ptrdiff_t>(i));
    for (Row& row : table.rows) row.cells.erase(row.cells.begin() + static_cast<ptrdiff_t>(i));
  }
}

bool IsEmpty(const Block& block) {
  return std::visit(Overloaded{[](const Paragraph& paragraph) { return paragraph.sentences.empty(); },
                               [](const Notes& notes) { return notes.items.empty(); },
                               [](const Table& table) { return table.rows.empty() || table.columns.empty(); },
                               [](const Figure& figure) { return TableFor(figure.plot).rows.empty(); },
                               [](const KeyValues& pairs) {
                                 return std::ranges::all_of(pairs.items, [](const auto& item) { return item.second.empty(); });
                               },
                               [](const Code& code) { return code.text.empty(); }},
                    block);
}

bool IsEmpty(const Section& section) {
  return std::ranges::all_of(section.blocks, [](const Block& block) { return IsEmpty(block); }) &&
         std::ranges::all_of(section.parts, [](const Section& part) { return IsEmpty(part); });
}

Grid MakeGrid(const Table& table) {
  Grid grid;
  grid.columns = MakeColumns(table.columns);
  grid.group_header = table.group_header;
  grid.grouped = std::ranges::any_of(table.rows, [](const Row& row) { return !row.group.empty(); });
  const auto is_key = [](const Column& column) { return column.kind == ColumnKind::kKey; };
  const size_t keys = static_cast<size_t>(std::ranges::count_if(table.columns, is_key));
  CHECK(std::ranges::is_partitioned(table.columns, is_key));
  for (const Row& row : table.rows) {
    CHECK(row.cells.size() == table.columns.size());
    GridRow made;
    made.group = row.group;
    made.marker = row.marker;
    made.invalid = row.invalid;
    for (const Cell& cell : row.cells) {
      const bool null = cell.text.empty();
      made.cells.push_back({cell.estimate && !null ? "~" + cell.text : cell.text, cell.invalid && !null, cell.best,
                            FootnoteOf(cell.note, grid.footnotes)});
    }
    if (row.invalid) made.cells[keys > 0 ? keys - 1 : 0].invalid = true;
    grid.rows.push_back(std::move(made));
  }
  if (grid.grouped) CountGroups(grid.rows);
  return grid;
}

std::string DrawPlot(const Plot& plot, SvgMode mode) {
  return std::visit(Overloaded{[mode](const RadarPlot& drawn) { return DrawRadar(drawn, mode); },
                               [mode](const ParetoPlot& drawn) { return DrawPareto(drawn, mode); },
                               [mode](const BarPlot& drawn) { return DrawBars(drawn, mode); },
                               [mode](const LinePlot& drawn) { return DrawLines(drawn, mode); },
                               [mode](const RooflinePlot& drawn) { return DrawRoofline(drawn, mode); },
                               [mode](const SparsityCurve& drawn) { return DrawSparsityCurve(drawn, mode); },
                               [mode](const HeatMap& drawn) { return DrawHeatMap(drawn, mode); },
                               [mode](const HardwareMap& drawn) { return DrawHardwareMap(drawn, mode); },
                               [mode](const PercentilePlot& drawn) { return DrawPercentiles(drawn, mode); },
                               [mode](const StepPlot& drawn) { return DrawSteps(drawn, mode); }},
                    plot);
}

void CheckDocument(const Document& document) {
  CHECK(document.headline.size() <= kMostHeadlines);
  std::set<std::string> ids;
  for (const Section& section : document.sections) CheckPlotIds(section, ids);
}

std::string FullTitle(const Document& document) {
  const std::string program = document.kind.empty() ? "moecap" : "moecap " + document.kind;
  return document.title.empty() ? program : program + ": " + document.title;
}

std::string Text(const Paragraph& paragraph) {
  std::string text;
  for (const auto& sentence : paragraph.sentences) text += (text.empty() ? "" : " ") + sentence;
  return text;
}

}  // namespace moecap::report
