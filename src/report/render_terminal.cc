#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/table.h"
#include "report/layout.h"
#include "report/render.h"

namespace moecap::report {
namespace {

constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kRed = "1;31";
constexpr size_t kLeastWidth = 40;
constexpr size_t kLongestKey = 28;
constexpr size_t kShortestKey = 8;
constexpr size_t kNarrowestText = 12;
constexpr size_t kLongestLabel = 20;
// Left to the figures of the widest column beside the keys.
constexpr size_t kRoomForFigures = 16;

using Lines = std::vector<std::vector<std::string>>;

// A table in the words of base/table.h.
struct TextTable {
  std::vector<TableColumn> columns;
  std::vector<bool> wraps;
  Lines rows;
};

// The width of each column that wraps, so that the table fits into `width` where that is possible; 0 for the others.
std::vector<size_t> WrapWidths(const TextTable& table, size_t width) {
  std::vector<size_t> widths(table.columns.size());
  for (size_t i = 0; i < widths.size(); ++i) {
    if (!table.wraps[i]) continue;
    for (const auto& row : table.rows) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  const size_t needed = TableWidth(table.columns, table.rows);
  for (size_t excess = needed > width ? needed - width : 0; excess > 0;) {
    const auto widest = std::ranges::max_element(widths);
    if (widest == widths.end() || *widest <= kNarrowestText) break;
    const size_t less = std::min(excess, *widest - kNarrowestText);
    *widest -= less;
    excess -= less;
  }
  return widths;
}

// Words that are too long go on in lines of their own.
void Wrap(TextTable& table, size_t width) {
  const std::vector<size_t> widths = WrapWidths(table, width);
  Lines lines;
  for (const auto& row : table.rows) {
    Lines parts;
    size_t height = 1;
    for (size_t i = 0; i < row.size(); ++i) {
      parts.push_back(widths[i] > 0 ? WrapText(row[i], widths[i]) : std::vector<std::string>{row[i]});
      height = std::max(height, parts.back().size());
    }
    for (size_t line = 0; line < height; ++line) {
      lines.emplace_back();
      for (const auto& part : parts) lines.back().push_back(line < part.size() ? part[line] : "");
    }
  }
  table.rows = std::move(lines);
}

class TerminalPage {
 public:
  explicit TerminalPage(const TerminalOptions& options) : options_(options) {
    options_.width = std::max(options_.width, kLeastWidth);
  }

  // `lead` once, then `text` wrapped beside it.
  void Text(const std::string& lead, const std::string& text, const char* style = nullptr) {
    const size_t indent = DisplayWidth(lead);
    bool first = true;
    for (const auto& line : WrapText(Plain(text), options_.width - indent)) {
      out_ += (first ? Style(lead, style == kRed ? kRed : nullptr) : std::string(indent, ' ')) + Style(line, style) + "\n";
      first = false;
    }
  }

  // An empty line before what follows, unless that stands right under the heading of its section.
  void Gap() {
    if (!under_heading_) out_ += '\n';
    under_heading_ = false;
  }

  void Heading(const std::string& text) {
    if (text.empty()) return;
    Gap();
    Text("", text, kBold);
    under_heading_ = true;
  }

  void Title(const std::string& text) {
    Gap();
    if (!text.empty()) Text("", text, kBold);
  }

  void operator()(const Paragraph& paragraph) {
    Gap();
    Text("", report::Text(paragraph));
  }

  void operator()(const Notes& notes) {
    Title(notes.title);
    const bool warning = notes.kind == Notes::Kind::kWarning;
    for (const auto& item : notes.items) Text(warning ? "! " : "- ", item, warning ? kRed : nullptr);
  }

  void operator()(const KeyValues& pairs) {
    Title(pairs.title);
    size_t width = 0;
    for (const auto& [label, text] : pairs.items) {
      if (!text.empty()) width = std::max(width, DisplayWidth(Plain(label)));
    }
    width = std::min(width, kLongestLabel);
    for (const auto& [label, text] : pairs.items) {
      if (!text.empty()) Text(PadRight(Shorten(Plain(label), width, options_.unicode), width + 2), text);
    }
  }

  void operator()(const Code& code) {
    Title(code.title);
    std::string_view rest = code.text;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      out_ += "  " + Plain(line) + "\n";
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
  }

  void operator()(const Figure& figure) {
    const bool has_no_table = std::holds_alternative<RadarPlot>(figure.plot) ||
                              std::holds_alternative<PercentilePlot>(figure.plot) ||
                              std::holds_alternative<StepPlot>(figure.plot);
    if (has_no_table) return;
    (*this)(TableFor(figure.plot));
    if (!figure.caption.empty()) Text("", figure.caption);
  }

  void operator()(const Table& table) {
    Title(table.title);
    const Grid grid = MakeGrid(table);
    TextTable text = Layout(grid);
    Wrap(text, options_.width);
    TableOptions layout;
    layout.width = options_.width;
    layout.unicode = options_.unicode;
    if (options_.color) {
      layout.rule_begin = Sequence(kDim);
      layout.header_begin = Sequence(kBold);
      layout.rule_end = layout.header_end = Sequence("0");
    }
    out_ += RenderTable(text.columns, text.rows, layout);
    for (size_t i = 0; i < grid.footnotes.size(); ++i) Text(fmt::format("[{}] ", i + 1), grid.footnotes[i]);
    for (const auto& note : table.notes) Text("", note);
  }

  std::string Take() { return std::move(out_); }

 private:
  static std::string Sequence(const char* code) { return fmt::format("\x1b[{}m", code); }

  std::string Style(const std::string& text, const char* code) const {
    return options_.color && code != nullptr ? Sequence(code) + text + Sequence("0") : text;
  }

  std::string Plain(std::string_view text) const {
    const std::string safe = PrintableText(text);
    return options_.unicode ? safe : AsciiText(safe);
  }

  static std::string Marks(const GridCell& cell, ColumnKind kind) {
    std::string marks;
    if (cell.invalid) marks += kind == ColumnKind::kFigure ? "!" : " !";
    if (cell.footnote > 0) marks += fmt::format(" [{}]", cell.footnote);
    return marks;
  }

  // `marks_width`: of the longest marks of the column, so that figures line up in spite of them.
  std::string CellText(const GridCell& cell, ColumnKind kind, size_t longest_key, size_t marks_width) const {
    std::string text = Plain(cell.text);
    if (kind == ColumnKind::kKey) text = Shorten(text, longest_key, options_.unicode);
    if (text.empty() && kind == ColumnKind::kFigure) text = "-";
    text += kind == ColumnKind::kFigure ? PadRight(Marks(cell, kind), marks_width) : Marks(cell, kind);
    // Colour sequences do not survive wrapping.
    return cell.best && kind != ColumnKind::kText ? Style(text, kBold) : text;
  }

  TextTable Layout(const Grid& grid) const {
    TextTable table;
    const auto add_column = [&table](TableColumn column, bool wraps) {
      table.columns.push_back(std::move(column));
      table.wraps.push_back(wraps);
    };
    if (grid.grouped) add_column({"", Plain(grid.group_header), Align::kLeft, true}, false);
    for (const GridColumn& column : grid.columns) {
      const Align align = column.kind == ColumnKind::kFigure ? Align::kRight : Align::kLeft;
      add_column({Plain(column.group), Plain(column.header), align, column.kind == ColumnKind::kKey},
                 column.kind == ColumnKind::kText);
    }
    const size_t keys = static_cast<size_t>(std::ranges::count_if(table.columns, &TableColumn::key));
    const size_t room = (options_.width - kRoomForFigures) / std::max<size_t>(keys, 1);
    const size_t longest_key = std::clamp(room, kShortestKey, kLongestKey);
    std::vector<size_t> marks(grid.columns.size());
    for (const GridRow& row : grid.rows) {
      for (size_t i = 0; i < marks.size(); ++i) marks[i] = std::max(marks[i], Marks(row.cells[i], grid.columns[i].kind).size());
    }
    for (const GridRow& row : grid.rows) {
      table.rows.emplace_back();
      if (grid.grouped)
        table.rows.back().push_back(row.group_rows > 0 ? Shorten(Plain(row.group), longest_key, options_.unicode) : "");
      for (size_t i = 0; i < row.cells.size(); ++i)
        table.rows.back().push_back(CellText(row.cells[i], grid.columns[i].kind, longest_key, marks[i]));
    }
    return table;
  }

  TerminalOptions options_;
  std::string out_;
  bool under_heading_ = false;
};

bool IsShown(const Section& section, bool all) {
  const bool wanted = all ? section.detail != Detail::kPageOnly : section.detail == Detail::kFirstScreen;
  return wanted && !IsEmpty(section);
}

void AddSection(const Section& section, bool all, TerminalPage& page) {
  if (!IsShown(section, all)) return;
  page.Heading(section.heading);
  for (const Block& block : section.blocks) {
    // A plot has no place on the first screen.
    if (!IsEmpty(block) && (all || !std::holds_alternative<Figure>(block))) std::visit(page, block);
  }
  for (const Section& part : section.parts) AddSection(part, all, page);
}

}  // namespace

std::string RenderTerminal(const Document& document, const TerminalOptions& options) {
  CheckDocument(document);
  TerminalPage page(options);
  page.Text("", FullTitle(document), kBold);
  if (!document.subtitle.empty()) page.Text("", document.subtitle);
  for (const auto& warning : document.warnings) page.Text("! ", warning, kRed);
  if (!document.headline.empty()) page.Gap();
  for (const auto& sentence : document.headline)
    page.Text("", sentence, &sentence == &document.headline.front() ? kBold : nullptr);
  if (options.all && !IsEmpty(document.about)) page(document.about);
  for (const Section& section : document.sections) AddSection(section, options.all, page);
  return page.Take();
}

}  // namespace moecap::report
