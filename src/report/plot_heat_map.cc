#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 860;
constexpr double kLeft = 52;
constexpr double kTop = 74;
constexpr int kNever = -1;
constexpr size_t kTooltipLimit = 2048;  // cells; larger maps merge equal neighbours instead

// 0..8, 4 = neutral; kNever for 0.
int Shade(double ratio) {
  if (!(ratio > 0)) return kNever;
  return std::clamp(static_cast<int>(std::lround(std::log2(std::min(ratio, 1e3)) * 2)) + 4, 0, 8);
}

std::string ShadeClass(int shade) { return shade == kNever ? "hn" : fmt::format("h{}", shade); }

const char* TextClass(int shade) {
  const int distance = shade == kNever ? 0 : std::abs(shade - 4);
  return distance == 4 ? "tiny extreme" : distance == 3 ? "tiny strong" : "tiny";
}

class HeatDrawing {
 public:
  explicit HeatDrawing(const HeatMap& map) : map_(map) {
    rows_ = map.ratios.size();
    for (const auto& row : map.ratios) columns_ = std::max(columns_, row.size());
    cell_w_ = std::min(48.0, (kWidth - kLeft) / static_cast<double>(columns_));
    cell_h_ = rows_ <= 12 ? 22 : rows_ <= 32 ? 14 : rows_ <= 64 ? 8 : 5;
  }

  std::string Draw(SvgMode mode) {
    const double height = kTop + cell_h_ * static_cast<double>(rows_) + 36;
    Svg svg(map_.frame.id, kWidth, height, map_.frame.title, map_.frame.description);
    svg.Text({0, 14}, map_.frame.title, "title");
    svg.Text({0, 31}, map_.frame.subtitle, "muted small");
    Legend(svg);
    if (rows_ * columns_ <= kTooltipLimit) {
      Cells(svg);
    } else {
      Runs(svg);
    }
    Labels(svg);
    return svg.Finish(mode);
  }

 private:
  SvgPoint Corner(size_t row, size_t column) const {
    return {kLeft + cell_w_ * static_cast<double>(column), kTop + cell_h_ * static_cast<double>(row)};
  }

  static void Legend(Svg& svg) {
    static constexpr std::array<const char*, 9> kNames = {"¼", "", "½", "", "1×", "", "2×", "", "4×"};
    double x = kLeft;
    svg.Rect({x, 42}, 22, 10, "hn");
    svg.Text({x + 11, 64}, "never", "muted tiny", Anchor::kMiddle);
    x += 34;
    for (size_t i = 0; i < kNames.size(); ++i) {
      svg.Rect({x, 42}, 22, 10, ShadeClass(static_cast<int>(i)));
      if (*kNames[i] != '\0') svg.Text({x + 11, 64}, kNames[i], "muted tiny", Anchor::kMiddle);
      x += 22;
    }
    svg.Text({x + 8, 51}, "of the uniform share", "muted small");
  }

  void Cells(Svg& svg) const {
    const bool numbers = cell_w_ >= 26 && cell_h_ >= 14;
    const double gap = cell_w_ >= 8 ? 1 : 0;
    for (size_t row = 0; row < rows_; ++row) {
      for (size_t column = 0; column < map_.ratios[row].size(); ++column) {
        const double ratio = map_.ratios[row][column];
        const int shade = Shade(ratio);
        const SvgPoint corner = Corner(row, column);
        const std::string text = ratio > 0 ? FormatFixed(std::min(ratio, 1e3), 2) : "0";
        svg.Rect(corner, cell_w_ - gap, cell_h_ - gap, ShadeClass(shade),
                 fmt::format("{} {}, {} {}: {} times uniform", map_.row_label, row, map_.column_label, column, text));
        if (numbers) svg.Text({corner.x + cell_w_ / 2, corner.y + cell_h_ / 2 + 3}, text, TextClass(shade), Anchor::kMiddle);
      }
    }
  }

  // One path a shade; equal neighbours of a row are one rectangle.
  void Runs(Svg& svg) const {
    std::array<std::string, 10> paths;  // the last is kNever
    for (size_t row = 0; row < rows_; ++row) {
      const auto& ratios = map_.ratios[row];
      for (size_t begin = 0; begin < ratios.size();) {
        const int shade = Shade(ratios[begin]);
        size_t end = begin + 1;
        while (end < ratios.size() && Shade(ratios[end]) == shade) ++end;
        const SvgPoint corner = Corner(row, begin);
        const double width = cell_w_ * static_cast<double>(end - begin);
        paths[shade == kNever ? 9 : static_cast<size_t>(shade)] +=
            fmt::format("M{:.1f} {:.1f}h{:.1f}v{:g}h-{:.1f}z", corner.x, corner.y, width, cell_h_, width);
        begin = end;
      }
    }
    for (size_t i = 0; i < paths.size(); ++i) {
      if (!paths[i].empty()) svg.Path(paths[i], ShadeClass(i == 9 ? kNever : static_cast<int>(i)));
    }
  }

  void Labels(Svg& svg) const {
    const auto every = [](double size, double wanted) { return static_cast<size_t>(std::max(1.0, std::ceil(wanted / size))); };
    const size_t row_step = every(cell_h_, 12);
    const size_t column_step = every(cell_w_, 24);
    for (size_t row = 0; row < rows_; row += row_step) {
      svg.Text({kLeft - 6, Corner(row, 0).y + cell_h_ / 2 + 4}, std::to_string(row), "muted tiny", Anchor::kEnd);
    }
    const double bottom = Corner(rows_, 0).y;
    for (size_t column = 0; column < columns_; column += column_step) {
      svg.Text({Corner(0, column).x + cell_w_ / 2, bottom + 13}, std::to_string(column), "muted tiny", Anchor::kMiddle);
    }
    svg.Text({kLeft, bottom + 30}, map_.column_label + " →", "muted small");
    svg.Text({0, kTop - 6}, map_.row_label + " ↓", "muted small");
  }

  const HeatMap& map_;
  size_t rows_ = 0, columns_ = 0;
  double cell_w_ = 0, cell_h_ = 0;
};

}  // namespace

std::string DrawHeatMap(const HeatMap& map, SvgMode mode) {
  const bool empty = std::ranges::all_of(map.ratios, [](const auto& row) { return row.empty(); });
  return empty ? "" : HeatDrawing(map).Draw(mode);
}

}  // namespace moecap::report
