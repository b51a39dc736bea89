#include <fmt/format.h>

#include <string_view>

#include "base/table.h"
#include "report/layout.h"
#include "report/render.h"

namespace moecap::report {
namespace {

std::string Escape(std::string_view raw) {
  std::string out;
  for (const char c : PrintableText(raw)) {
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

// A line that starts with one of these would be a list, a heading or a quotation.
std::string EscapeLine(std::string_view raw) {
  std::string out = Escape(raw);
  if (!out.empty() && std::string_view("-+>=").find(out[0]) != std::string_view::npos) out.insert(0, "\\");
  if (const size_t digits = out.find_first_not_of("0123456789");
      digits > 0 && digits < out.size() && (out[digits] == '.' || out[digits] == ')'))
    out.insert(digits, "\\");
  return out;
}

std::string Line(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const auto& cell : cells) line += " " + cell + " |";
  return line + "\n";
}

class MarkdownPage {
 public:
  void Heading(size_t level, const std::string& text) {
    if (!text.empty()) out_ += fmt::format("\n{} {}\n", std::string(level, '#'), Escape(text));
  }

  void Title(const std::string& text) {
    if (!text.empty()) out_ += "\n**" + Escape(text) + "**\n";
  }

  void Items(const std::vector<std::string>& items) {
    if (items.empty()) return;
    out_ += '\n';
    for (const auto& item : items) out_ += "- " + EscapeLine(item) + "\n";
  }

  void Line(const std::string& text) {
    if (!text.empty()) out_ += "\n" + EscapeLine(text) + "\n";
  }

  void Warning(const std::string& text) { out_ += "\n> **" + Escape(text) + "**\n"; }

  void operator()(const Paragraph& paragraph) { Line(Text(paragraph)); }

  void operator()(const Notes& notes) {
    Title(notes.title);
    if (notes.kind == Notes::Kind::kNote) return Items(notes.items);
    for (const auto& item : notes.items) Warning(item);
  }

  void operator()(const KeyValues& pairs) {
    Title(pairs.title);
    out_ += '\n';
    for (const auto& [label, text] : pairs.items) {
      if (!text.empty()) out_ += fmt::format("- {}: {}\n", Escape(label), Escape(text));
    }
  }

  void operator()(const Code& code) {
    Title(code.title);
    // A fence longer than any inside.
    std::string fence = "```";
    while (code.text.find(fence) != std::string::npos) fence += '`';
    out_ += "\n" + fence + PrintableText(code.language) + "\n";
    std::string_view rest = code.text;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      out_ += PrintableText(line) + "\n";
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    out_ += fence + "\n";
  }

  void operator()(const Figure& figure) {
    (*this)(TableFor(figure.plot));
    Line(figure.caption);
  }

  void operator()(const Table& table) {
    const Grid grid = MakeGrid(table);
    Title(table.title);
    std::vector<std::string> head, rule;
    if (grid.grouped) {
      head.push_back(Escape(grid.group_header));
      rule.emplace_back("---");
    }
    for (const GridColumn& column : grid.columns) {
      head.push_back(Escape(column.label));
      rule.emplace_back(column.kind == ColumnKind::kFigure ? "--:" : "---");
    }
    out_ += "\n" + report::Line(head) + report::Line(rule);
    for (const GridRow& row : grid.rows) {
      std::vector<std::string> cells;
      if (grid.grouped) cells.push_back(row.group_rows > 0 ? Escape(row.group) : "");
      for (size_t i = 0; i < row.cells.size(); ++i) cells.push_back(CellText(row.cells[i], grid.columns[i].kind));
      out_ += report::Line(cells);
    }
    std::vector<std::string> notes;
    for (size_t i = 0; i < grid.footnotes.size(); ++i) notes.push_back(fmt::format("[{}] {}", i + 1, grid.footnotes[i]));
    notes.insert(notes.end(), table.notes.begin(), table.notes.end());
    Items(notes);
  }

  std::string Take() { return out_.substr(out_.find_first_not_of('\n')); }

 private:
  static std::string CellText(const GridCell& cell, ColumnKind kind) {
    std::string text = Escape(cell.text.empty() && kind == ColumnKind::kFigure ? "-" : cell.text);
    if (cell.best && !cell.text.empty()) text = "**" + text + "**";
    if (cell.invalid) text += " **!**";
    if (cell.footnote > 0) text += fmt::format(" \\[{}\\]", cell.footnote);
    return text;
  }

  std::string out_;
};

void AddSection(const Section& section, size_t level, MarkdownPage& page) {
  if (IsEmpty(section)) return;
  page.Heading(level, section.heading);
  for (const Block& block : section.blocks) {
    if (!IsEmpty(block)) std::visit(page, block);
  }
  for (const Section& part : section.parts) AddSection(part, level + 1, page);
}

}  // namespace

std::string RenderMarkdown(const Document& document) {
  CheckDocument(document);
  MarkdownPage page;
  page.Heading(1, FullTitle(document));
  page.Line(document.subtitle);
  for (const auto& warning : document.warnings) page.Warning(warning);
  if (!document.headline.empty()) {
    page.Line(document.headline.front());
    page.Items({document.headline.begin() + 1, document.headline.end()});
  }
  if (!IsEmpty(document.about)) page(document.about);
  for (const Section& section : document.sections) AddSection(section, 2, page);
  page.Line(document.footer);
  return page.Take();
}

}  // namespace moecap::report
