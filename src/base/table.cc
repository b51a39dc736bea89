#include "base/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>

#include "base/check.h"

namespace moecap {
namespace {

constexpr uint32_t kInvalid = 0xFFFFFFFF;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct CodePoint {
  uint32_t value = kInvalid;
  size_t bytes = 1;
};

// The code point at the start of a non-empty `text`; overlong forms and surrogates are invalid.
CodePoint DecodeUtf8(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1};
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  uint32_t value = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return {};
    value = value << 6 | (next & 0x3F);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return {};
  return {value, length};
}

bool InRanges(uint32_t value, std::span<const std::pair<uint32_t, uint32_t>> ranges) {
  return std::ranges::any_of(ranges, [value](const auto& range) { return value >= range.first && value <= range.second; });
}

size_t CodePointWidth(uint32_t value) {
  static constexpr std::pair<uint32_t, uint32_t> kZero[] = {
      {0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x64B, 0x65F},   {0x200B, 0x200F}, {0x202A, 0x202E},
      {0x2060, 0x2064}, {0x20D0, 0x20F0}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF}};
  static constexpr std::pair<uint32_t, uint32_t> kWide[] = {
      {0x1100, 0x115F}, {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
      {0xA000, 0xA4CF}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
      {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
  if (value == kInvalid) return 1;
  if (value < 0x300) return 1;
  if (InRanges(value, kZero)) return 0;
  return InRanges(value, kWide) ? 2 : 1;
}

// Length of the colour sequence at the start of `text` (ESC [ digits ; m), 0 when there is none.
size_t ColorSequenceLength(std::string_view text) {
  if (text.size() < 3 || text[0] != '\x1b' || text[1] != '[') return 0;
  const size_t end = text.find_first_not_of("0123456789;", 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 : 0;
}

// The longest prefix of `text` that takes at most `width` cells, in bytes.
size_t PrefixBytes(std::string_view text, size_t width) {
  size_t used = 0;
  size_t at = 0;
  while (at < text.size()) {
    if (const size_t skip = ColorSequenceLength(text.substr(at)); skip > 0) {
      at += skip;
      continue;
    }
    const CodePoint point = DecodeUtf8(text.substr(at));
    used += CodePointWidth(point.value);
    if (used > width) break;
    at += point.bytes;
  }
  return at;
}

std::string_view Spelled(uint32_t value) {
  static constexpr std::pair<uint32_t, std::string_view> kSpelled[] = {
      {0xB1, "+/-"}, {0xD7, "x"},    {0x2026, "..."}, {0x2013, "-"},  {0x2014, "-"}, {0x2192, "->"},
      {0x2248, "~"}, {0x2264, "<="}, {0x2265, ">="},  {0xB5, "u"},    {0x3BC, "u"},  {0xB7, "|"},
      {0x2018, "'"}, {0x2019, "'"},  {0x201C, "\""},  {0x201D, "\""}, {0xA0, " "},   {0x2009, " "},
      {0x202F, " "}, {0x2212, "-"},  {0xB2, "2"},     {0x2022, "*"}};
  const auto* found = std::ranges::find(kSpelled, value, &std::pair<uint32_t, std::string_view>::first);
  return found != std::end(kSpelled) ? found->second : "?";
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    if (const size_t skip = ColorSequenceLength(text); skip > 0) {
      text.remove_prefix(skip);
      continue;
    }
    const CodePoint point = DecodeUtf8(text);
    width += CodePointWidth(point.value);
    text.remove_prefix(point.bytes);
  }
  return width;
}

std::string PrintableText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = DecodeUtf8(text);
    if (text[0] == '\n' || text[0] == '\t' || text[0] == '\r') {
      out += ' ';
    } else if (point.value == kInvalid || point.value < 0x20 || (point.value >= 0x7F && point.value < 0xA0)) {
      out += kReplacement;
    } else {
      out += text.substr(0, point.bytes);
    }
    text.remove_prefix(point.bytes);
  }
  return out;
}

std::string AsciiText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = DecodeUtf8(text);
    out += point.value < 0x80 ? text.substr(0, 1) : Spelled(point.value);
    text.remove_prefix(point.bytes);
  }
  return out;
}

std::string PadLeft(std::string_view text, size_t width) {
  const size_t used = DisplayWidth(text);
  return std::string(width > used ? width - used : 0, ' ').append(text);
}

std::string PadRight(std::string_view text, size_t width) {
  const size_t used = DisplayWidth(text);
  return std::string(text).append(width > used ? width - used : 0, ' ');
}

std::string Shorten(std::string_view text, size_t width, bool unicode) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return "";
  const size_t tail_width = (width - 1) / 2;
  const size_t head = PrefixBytes(text, width - 1 - tail_width);
  size_t tail = head;
  while (DisplayWidth(text.substr(tail)) > tail_width) tail += DecodeUtf8(text.substr(tail)).bytes;
  return std::string(text.substr(0, head)).append(unicode ? "…" : "~").append(text.substr(tail));
}

std::vector<std::string> WrapText(std::string_view text, size_t width) {
  width = std::max<size_t>(width, 2);
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const size_t start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    const size_t used = DisplayWidth(lines.back());
    if (used > 0 && used + 1 + DisplayWidth(word) <= width) {
      lines.back().append(" ").append(word);
      continue;
    }
    if (used > 0) lines.emplace_back();
    while (DisplayWidth(word) > width) {
      const size_t bytes = PrefixBytes(word, width);
      lines.back() = word.substr(0, bytes);
      lines.emplace_back();
      word.remove_prefix(bytes);
    }
    lines.back() = word;
  }
  return lines;
}

void AppendLabelled(std::string& out, size_t label_width, std::string_view label, std::string_view text, size_t width) {
  for (const std::string& line : WrapText(PrintableText(text), width - label_width - 2)) {
    out += fmt::format("  {}{}\n", PadRight(label, label_width), line);
    label = {};
  }
}

namespace {

struct Layout {
  std::vector<size_t> columns;  // indices, in order
  std::vector<size_t> widths;   // of each of those
  size_t total = 0;
};

using Rows = std::vector<std::vector<std::string>>;

// Two spaces between groups, one inside a group.
size_t GapBefore(const std::vector<TableColumn>& columns, const std::vector<size_t>& shown, size_t position) {
  if (position == 0) return 0;
  const TableColumn& left = columns[shown[position - 1]];
  const TableColumn& right = columns[shown[position]];
  return !right.group.empty() && left.group == right.group ? 1 : 2;
}

// Positions [begin, end) of `layout` that share the group of `begin`.
size_t GroupEnd(const std::vector<TableColumn>& columns, const std::vector<size_t>& shown, size_t begin) {
  size_t end = begin + 1;
  const std::string& group = columns[shown[begin]].group;
  while (!group.empty() && end < shown.size() && columns[shown[end]].group == group) ++end;
  return end;
}

size_t SpanWidth(const std::vector<TableColumn>& columns, const Layout& layout, size_t begin, size_t end) {
  size_t width = 0;
  for (size_t i = begin; i < end; ++i) width += layout.widths[i] + (i > begin ? GapBefore(columns, layout.columns, i) : 0);
  return width;
}

Layout MakeLayout(const std::vector<TableColumn>& columns, const Rows& rows, std::vector<size_t> shown) {
  Layout layout;
  layout.columns = std::move(shown);
  for (const size_t column : layout.columns) {
    size_t width = DisplayWidth(columns[column].header);
    for (const auto& row : rows) width = std::max(width, DisplayWidth(row[column]));
    layout.widths.push_back(width);
  }
  for (size_t begin = 0; begin < layout.columns.size();) {
    const size_t end = GroupEnd(columns, layout.columns, begin);
    const size_t heading = DisplayWidth(columns[layout.columns[begin]].group);
    const size_t span = SpanWidth(columns, layout, begin, end);
    if (heading > span) layout.widths[begin] += heading - span;
    begin = end;
  }
  layout.total = SpanWidth(columns, layout, 0, layout.columns.size());
  return layout;
}

void TrimRight(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

std::string GroupLine(const std::vector<TableColumn>& columns, const Layout& layout) {
  std::string line;
  for (size_t begin = 0; begin < layout.columns.size();) {
    const size_t end = GroupEnd(columns, layout.columns, begin);
    const size_t span = SpanWidth(columns, layout, begin, end);
    line.append(GapBefore(columns, layout.columns, begin), ' ');
    const std::string& group = columns[layout.columns[begin]].group;
    const bool right = columns[layout.columns[begin]].align == Align::kRight;
    line += right ? PadLeft(group, span) : PadRight(group, span);
    begin = end;
  }
  TrimRight(line);
  return line;
}

template <typename CellText>
std::string Line(const std::vector<TableColumn>& columns, const Layout& layout, const CellText& cell) {
  std::string line;
  for (size_t i = 0; i < layout.columns.size(); ++i) {
    const size_t column = layout.columns[i];
    line.append(GapBefore(columns, layout.columns, i), ' ');
    line += columns[column].align == Align::kRight ? PadLeft(cell(column), layout.widths[i])
                                                   : PadRight(cell(column), layout.widths[i]);
  }
  TrimRight(line);
  return line;
}

std::string RenderLayout(const std::vector<TableColumn>& columns, const Rows& rows, const Layout& layout,
                         const TableOptions& options) {
  std::string out;
  const std::string groups = GroupLine(columns, layout);
  if (!groups.empty()) out += options.header_begin + groups + options.header_end + "\n";
  out += options.header_begin + Line(columns, layout, [&](size_t i) { return std::string_view(columns[i].header); }) +
         options.header_end + "\n";
  std::string rule;
  for (size_t begin = 0; begin < layout.columns.size();) {
    const size_t end = GroupEnd(columns, layout.columns, begin);
    rule.append(GapBefore(columns, layout.columns, begin), ' ');
    for (size_t i = SpanWidth(columns, layout, begin, end); i > 0; --i) rule += options.unicode ? "─" : "-";
    begin = end;
  }
  out += options.rule_begin + rule + options.rule_end + "\n";
  for (const auto& row : rows) {
    const std::string line = Line(columns, layout, [&row](size_t i) { return std::string_view(row[i]); });
    if (!line.empty()) out += line + "\n";  // else it goes on in a column that another part shows
  }
  return out;
}

}  // namespace

size_t TableWidth(const std::vector<TableColumn>& columns, const Rows& rows) {
  std::vector<size_t> all(columns.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return MakeLayout(columns, rows, std::move(all)).total;
}

std::string RenderTable(const std::vector<TableColumn>& columns, const Rows& rows, const TableOptions& options) {
  for (const auto& row : rows) CHECK(row.size() == columns.size());
  std::vector<size_t> keys;
  std::vector<size_t> others;
  for (size_t i = 0; i < columns.size(); ++i) (columns[i].key ? keys : others).push_back(i);

  std::string out;
  std::vector<size_t> shown = keys;
  for (size_t begin = 0; begin < others.size();) {
    size_t end = GroupEnd(columns, others, begin);
    std::vector<size_t> wider = shown;
    wider.insert(wider.end(), others.begin() + static_cast<ptrdiff_t>(begin), others.begin() + static_cast<ptrdiff_t>(end));
    if (MakeLayout(columns, rows, wider).total > options.width) {
      if (shown.size() > keys.size()) {
        out += RenderLayout(columns, rows, MakeLayout(columns, rows, shown), options) + "\n";
        shown = keys;
        continue;
      }
      // One group alone is too wide: fall back to a column at a time.
      wider.resize(shown.size() + 1);
      end = begin + 1;
    }
    shown = std::move(wider);
    begin = end;
  }
  return out + RenderLayout(columns, rows, MakeLayout(columns, rows, shown), options);
}

}  // namespace moecap
