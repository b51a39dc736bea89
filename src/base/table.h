// Text on a terminal: widths in character cells, padding, wrapping, and tables that always fit the given width.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moecap {

// Character cells that UTF-8 `text` takes on a terminal: combining marks 0, East Asian wide characters and emoji 2, an
// invalid byte 1, ANSI colour sequences 0.
size_t DisplayWidth(std::string_view text);

// `text` as a terminal may safely print it: control characters (escape sequences with them) and invalid UTF-8 become U+FFFD,
// line breaks and tabs become spaces.
std::string PrintableText(std::string_view text);

// `text` in 7 bits: the typographic characters that our own reports use are spelled out (± +/-, × x, … ...), others become '?'.
std::string AsciiText(std::string_view text);

std::string PadLeft(std::string_view text, size_t width);
std::string PadRight(std::string_view text, size_t width);

// At most `width` cells: the middle gives way to "…" (to "~" when `unicode` is false). Not for text with colour sequences.
std::string Shorten(std::string_view text, size_t width, bool unicode = true);

// Lines of at most `width` cells, broken at spaces, inside a word only when the word alone is too long. At least one line.
std::vector<std::string> WrapText(std::string_view text, size_t width);

// "  label   text", the text as PrintableText wrapped to `width` cells under itself; the label takes `label_width` of them.
void AppendLabelled(std::string& out, size_t label_width, std::string_view label, std::string_view text, size_t width);

enum class Align { kLeft, kRight };

struct TableColumn {
  std::string group;  // a heading over adjacent columns of the same group; may be empty
  std::string header;
  Align align = Align::kRight;
  bool key = false;  // leading columns that name the row; repeated when the table is cut
};

struct TableOptions {
  size_t width = 80;                     // no line is wider, as long as the key columns and any one other column fit
  bool unicode = true;                   // false: rules of '-'
  std::string rule_begin, rule_end;      // put around rules, e.g. a dim colour
  std::string header_begin, header_end;  // put around header lines
};

// The width of the table when it is not cut.
size_t TableWidth(const std::vector<TableColumn>& columns, const std::vector<std::vector<std::string>>& rows);

// Lines ending in '\n'. Cells may hold colour sequences. A table that is too wide is cut between column groups into several,
// each starting with the key columns. Requires every row to have as many cells as there are columns.
std::string RenderTable(const std::vector<TableColumn>& columns, const std::vector<std::vector<std::string>>& rows,
                        const TableOptions& options);

}  // namespace moecap
