#include <array>

#include "base/table.h"
#include "report/layout.h"
#include "report/render.h"

namespace moecap::report {
namespace {

std::string Field(const std::string& raw) {
  const std::string text = PrintableText(raw);
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

void AppendLine(const std::array<std::string, 9>& fields, std::string& out) {
  for (size_t i = 0; i < fields.size(); ++i) out += (i > 0 ? "," : "") + Field(fields[i]);
  out += '\n';
}

std::string Marks(const Row& row, const Cell& cell) {
  std::string marks;
  const auto add = [&marks](bool set, const char* mark) {
    if (set) marks += (marks.empty() ? "" : " ") + std::string(mark);
  };
  add(cell.estimate, "estimate");
  add(cell.invalid || row.invalid, "invalid");
  add(cell.best, "best");
  return marks;
}

// "a / b" of the key columns.
std::string RowName(const Table& table, const Row& row) {
  std::string name;
  for (size_t i = 0; i < table.columns.size() && table.columns[i].kind == ColumnKind::kKey; ++i)
    name += (i > 0 ? " / " : "") + row.cells[i].text;
  return name;
}

void AppendTable(const std::string& section, const Table& table, std::string& out) {
  const std::string& name = table.name.empty() ? table.title : table.name;
  for (const Row& row : table.rows) {
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const Column& column = table.columns[i];
      if (column.kind == ColumnKind::kKey) continue;
      const Cell& cell = row.cells[i];
      const std::string label = column.group + (column.group.empty() || column.header.empty() ? "" : " ") + column.header;
      AppendLine({section, name, row.group, RowName(table, row), label, column.unit, cell.text, Marks(row, cell), cell.note},
                 out);
    }
  }
}

void AppendSection(const Section& section, const std::string& heading, std::string& out) {
  for (const Block& block : section.blocks) {
    if (const auto* table = std::get_if<Table>(&block)) AppendTable(heading, *table, out);
    if (const auto* figure = std::get_if<Figure>(&block)) AppendTable(heading, TableFor(figure->plot), out);
  }
  for (const Section& part : section.parts)
    AppendSection(part, heading.empty() ? part.heading : heading + " / " + part.heading, out);
}

}  // namespace

std::string RenderCsv(const Document& document) {
  CheckDocument(document);
  std::string out = "section,table,row_group,row,column,unit,value,mark,note\n";
  for (const Section& section : document.sections) AppendSection(section, section.heading, out);
  return out;
}

}  // namespace moecap::report
