#include "report/terminal_radar.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "base/table.h"

namespace moecap::report {
namespace {

constexpr int kNobody = -1;

struct Point {
  double x = 0, y = 0;
};

// A grid of characters, each made of dots_x x dots_y dots: 2 x 4 for Braille, 1 x 2 for ASCII, so that dots are about square.
class Canvas {
 public:
  Canvas(size_t columns, size_t rows, bool unicode)
      : columns_(columns),
        rows_(rows),
        unicode_(unicode),
        dots_x_(unicode ? 2 : 1),
        dots_y_(unicode ? 4 : 2),
        cells_(columns * rows) {}

  double width() const { return static_cast<double>(columns_ * dots_x_); }

  // `owner` is a system or kNobody for the grid, which never covers a system. `symbol` is what ASCII shows.
  void Dot(Point at, int owner, char symbol) {
    const double x = std::round(at.x);
    const double y = std::round(at.y);
    if (x < 0 || y < 0) return;
    const auto dot_x = static_cast<size_t>(x);
    const auto dot_y = static_cast<size_t>(y);
    if (dot_x / dots_x_ >= columns_ || dot_y / dots_y_ >= rows_) return;
    Cell& cell = cells_[dot_y / dots_y_ * columns_ + dot_x / dots_x_];
    static constexpr std::array<std::array<unsigned, 4>, 2> kBits = {{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}};
    if (owner == kNobody && cell.owner != kNobody) return;
    if (owner != kNobody && cell.owner == kNobody) cell.bits = 0;
    if (unicode_) cell.bits |= kBits[dot_x % 2][dot_y % 4];
    cell.symbol = symbol;
    cell.owner = owner;
  }

  // Dots along the line, one every `step`.
  void Line(Point from, Point to, double step, int owner, char symbol) {
    const double length = std::hypot(to.x - from.x, to.y - from.y);
    const int count = std::max(1, static_cast<int>(std::ceil(length / step)));
    for (int i = 0; i <= count; ++i) {
      const double t = static_cast<double>(i) / count;
      Dot({from.x + t * (to.x - from.x), from.y + t * (to.y - from.y)}, owner, symbol);
    }
  }

  // A symbol in the character that holds `at`, or in the nearest one on the same row that has no mark yet.
  void Mark(Point at, int owner, const std::string& mark) {
    const auto column = static_cast<long>(std::round(at.x)) / static_cast<long>(dots_x_);
    const auto row = static_cast<long>(std::round(at.y)) / static_cast<long>(dots_y_);
    for (long distance = 0; distance < static_cast<long>(columns_); ++distance) {
      for (const long candidate : {column + distance, column - distance}) {
        if (candidate < 0 || candidate >= static_cast<long>(columns_) || row < 0 || row >= static_cast<long>(rows_)) continue;
        Cell& cell = cells_[static_cast<size_t>(row) * columns_ + static_cast<size_t>(candidate)];
        if (!cell.text.empty()) continue;
        cell.text = mark;
        cell.owner = owner;
        return;
      }
    }
  }

  // Writes 7-bit text from a character position on.
  void Text(size_t column, size_t row, const std::string& text) {
    for (size_t i = 0; i < text.size() && column + i < columns_; ++i) {
      cells_[row * columns_ + column + i] = {0, ' ', kNobody, std::string(1, text[i])};
    }
  }

  std::vector<std::string> Lines(bool color) const {
    std::vector<std::string> lines;
    for (size_t row = 0; row < rows_; ++row) {
      std::string line;
      for (size_t column = 0; column < columns_; ++column) line += Render(cells_[row * columns_ + column], color);
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  struct Cell {
    unsigned bits = 0;
    char symbol = ' ';
    int owner = kNobody;
    std::string text;
  };

  std::string Render(const Cell& cell, bool color) const {
    std::string glyph = cell.text;
    if (glyph.empty() && unicode_ && cell.bits != 0) glyph = Braille(cell.bits);
    if (glyph.empty() && !unicode_) glyph = std::string(1, cell.symbol);
    if (glyph.empty() || glyph == " ") return " ";
    if (!color) return glyph;
    if (cell.owner != kNobody) return SystemColor(static_cast<size_t>(cell.owner)) + glyph + kColorOff;
    return cell.text.empty() ? "\x1b[2m" + glyph + kColorOff : glyph;
  }

  static std::string Braille(unsigned bits) {
    return {static_cast<char>(0xE2), static_cast<char>(0xA0 | (bits >> 6)), static_cast<char>(0x80 | (bits & 0x3F))};
  }

  size_t columns_, rows_;
  bool unicode_;
  size_t dots_x_, dots_y_;
  std::vector<Cell> cells_;
};

// Axes in drawing order: accuracy up, performance lower right, cost lower left.
constexpr std::array<double, 3> kAngles = {90, -30, 210};

struct Frame {
  Point center;
  double radius = 0;

  Point At(size_t axis, double score) const {
    const double angle = kAngles[axis] * std::numbers::pi / 180;
    const double r = radius * std::clamp(score, 0.0, 100.0) / 100;
    return {center.x + r * std::cos(angle), center.y - r * std::sin(angle)};
  }
};

void DrawGrid(Canvas& canvas, const Frame& frame) {
  for (const double ring : {50.0, 100.0}) {
    for (size_t axis = 0; axis < 3; ++axis) {
      canvas.Line(frame.At(axis, ring), frame.At((axis + 1) % 3, ring), ring < 100 ? 6 : 3, kNobody, '.');
    }
  }
  for (size_t axis = 0; axis < 3; ++axis) canvas.Line(frame.center, frame.At(axis, 100), 6, kNobody, '.');
}

std::array<std::optional<double>, 3> Corners(const cap::CapScores& scores) {
  const auto finite = [](std::optional<double> score) { return score && std::isfinite(*score) ? score : std::nullopt; };
  return {finite(scores.accuracy), finite(scores.performance), finite(scores.cost)};
}

}  // namespace

std::string SystemMark(size_t index, bool unicode) {
  static constexpr std::array<const char*, 10> kMarks = {"●", "▲", "■", "◆", "▼", "○", "△", "□", "◇", "▽"};
  if (unicode && index < kMarks.size()) return kMarks[index];
  return std::string(1, static_cast<char>('A' + index % 26));
}

std::string SystemColor(size_t index) {
  // Mid tones of the 256-colour palette that read on light and on dark backgrounds, far apart for every common colour
  // blindness.
  static constexpr std::array<const char*, 6> kColors = {"33", "208", "36", "170", "136", "105"};
  return std::string("\x1b[38;5;") + kColors[index % kColors.size()] + "m";
}

std::vector<std::string> DrawTerminalRadar(const std::vector<cap::CapScores>& scores, const TerminalRadarOptions& options) {
  // An equilateral triangle is sqrt(3) radii wide and 1.5 radii high.
  const double dots_x = options.unicode ? 2 : 1;
  const double dots_y = options.unicode ? 4 : 2;
  Frame frame;
  const double width = static_cast<double>(options.columns) * dots_x;
  frame.radius = (width - 2 * dots_x) / std::numbers::sqrt3;
  frame.center = {width / 2, frame.radius + 1};
  const auto rows = static_cast<size_t>(std::ceil((1.5 * frame.radius + 2) / dots_y));
  Canvas canvas(options.columns, rows, options.unicode);
  DrawGrid(canvas, frame);
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto corners = Corners(scores[i]);
    const char symbol = SystemMark(i, false)[0];
    for (size_t axis = 0; axis < 3; ++axis) {
      const auto& from = corners[axis];
      const auto& to = corners[(axis + 1) % 3];
      const char line = static_cast<char>(symbol - 'A' + 'a');
      if (from && to) canvas.Line(frame.At(axis, *from), frame.At((axis + 1) % 3, *to), 1, static_cast<int>(i), line);
    }
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto corners = Corners(scores[i]);
    for (size_t axis = 0; axis < 3; ++axis) {
      if (corners[axis]) canvas.Mark(frame.At(axis, *corners[axis]), static_cast<int>(i), SystemMark(i, options.unicode));
    }
  }
  std::vector<std::string> lines = canvas.Lines(options.color);
  const std::string top(options.columns > 8 ? (options.columns - 8) / 2 : 0, ' ');
  lines.insert(lines.begin(), PadRight(top + "Accuracy", options.columns));
  lines.push_back(PadRight("Cost", options.columns - 11) + "Performance");
  return lines;
}

}  // namespace moecap::report
