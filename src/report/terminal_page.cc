#include "report/terminal_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "report/terminal_radar.h"

namespace moecap::report {
namespace {

constexpr size_t kLongestName = 28;
constexpr size_t kNarrowestWords = 12;

size_t WidestCell(const LoadTable& table, size_t column) {
  size_t width = 0;
  for (const LoadRow& row : table.rows) width = std::max(width, DisplayWidth(row.values[column]));
  return width;
}

// The width of each column of words, so that the table fits into `width` where that is possible.
std::vector<size_t> WordWidths(const LoadTable& table, size_t width, const std::vector<TableColumn>& columns,
                               const std::vector<std::vector<std::string>>& cells) {
  std::vector<size_t> widths(table.columns.size());
  size_t words = 0, wanted = 0;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (!table.columns[i].text) continue;
    widths[i] = WidestCell(table, i);
    wanted += widths[i];
    ++words;
  }
  const size_t needed = TableWidth(columns, cells);
  for (size_t excess = needed > width ? needed - width : 0; excess > 0 && words > 0;) {
    const auto widest = std::ranges::max_element(widths);
    if (*widest <= kNarrowestWords) break;
    const size_t less = std::min(excess, *widest - kNarrowestWords);
    *widest -= less;
    excess -= less;
  }
  return widths;
}

}  // namespace

std::string TerminalPage::Style(const std::string& text, const char* code) const {
  return options_.color && code != nullptr ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string TerminalPage::Plain(const std::string& text) const { return options_.unicode ? text : AsciiText(text); }

void TerminalPage::Text(const std::string& lead, const std::string& text, const char* style) {
  const size_t indent = DisplayWidth(lead);
  bool first = true;
  for (const auto& line : WrapText(Plain(text), options_.width - indent)) {
    out_ += (first ? lead : std::string(indent, ' ')) + Style(line, style) + "\n";
    first = false;
  }
}

void TerminalPage::Title(const std::string& text) {
  out_ += "\n";
  Text("", text, kBold);
}

void TerminalPage::Items(const std::string& title, const std::vector<std::string>& items) {
  if (items.empty()) return;
  Title(title);
  for (const auto& item : items) Text("- ", item);
}

void TerminalPage::Table(const LoadTable& table) {
  if (table.rows.empty()) return;
  Title(table.title);
  std::vector<TableColumn> columns = {{"", table.key, Align::kLeft, true}};
  for (const auto& column : table.columns)
    columns.push_back({column.group, column.header, column.text ? Align::kLeft : Align::kRight, false});
  std::vector<std::vector<std::string>> cells;
  for (const LoadRow& row : table.rows) {
    cells.push_back({Shorten(Plain(row.name), kLongestName, options_.unicode) + (row.bad ? " !" : "")});
    for (const auto& value : row.values) cells.back().push_back(Plain(value));
  }
  const std::vector<size_t> widths = WordWidths(table, options_.width, columns, cells);
  // Words that are too long go on in lines of their own.
  std::vector<std::vector<std::string>> lines;
  for (const auto& row : cells) {
    std::vector<std::vector<std::string>> parts;
    size_t height = 1;
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const bool wrap = table.columns[i].text && widths[i] > 0;
      parts.push_back(wrap ? WrapText(row[i + 1], widths[i]) : std::vector<std::string>{row[i + 1]});
      height = std::max(height, parts.back().size());
    }
    for (size_t line = 0; line < height; ++line) {
      lines.push_back({line == 0 ? row.front() : ""});
      for (const auto& part : parts) lines.back().push_back(line < part.size() ? part[line] : "");
    }
  }
  TableOptions layout;
  layout.width = options_.width;
  layout.unicode = options_.unicode;
  if (options_.color) {
    layout.rule_begin = "\x1b[2m";
    layout.header_begin = "\x1b[1m";
    layout.rule_end = layout.header_end = kColorOff;
  }
  out_ += RenderTable(columns, lines, layout);
}

}  // namespace moecap::report
