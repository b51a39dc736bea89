#include <algorithm>

#include "base/table.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 340;
constexpr double kTop = 44;
constexpr double kPitch = 26;
constexpr double kThickness = 14;
constexpr size_t kNameCells = 15;

}  // namespace

std::string DrawBars(const BarPlot& plot, SvgMode mode) {
  if (plot.bars.empty()) return "";
  double maximum = plot.maximum.value_or(0);
  double names = 0;
  double texts = 0;
  for (const auto& bar : plot.bars) {
    if (!plot.maximum) maximum = std::max({maximum, bar.value, bar.high.value_or(0)});
    names = std::max(names, TextWidth(Shorten(bar.name, kNameCells)));
    texts = std::max(texts, TextWidth(bar.text));
  }
  if (maximum < 1e-12) maximum = 1;
  const double left = names + 26;
  const double length = kWidth - left - texts - 12;
  const auto x = [&](double value) { return left + std::clamp(value / maximum, 0.0, 1.0) * length; };

  Svg svg(plot.frame.id, kWidth, kTop + kPitch * static_cast<double>(plot.bars.size()) + 4, plot.frame.title,
          plot.frame.description);
  svg.Text({0, 14}, plot.frame.title, "title");
  svg.Text({0, 31}, plot.frame.subtitle, "muted small");
  double y = kTop;
  for (const auto& bar : plot.bars) {
    const double middle = y + kThickness / 2;
    svg.Open(SystemClass(bar.system));
    svg.Marker(bar.system, {7, middle}, 4, !bar.valid);
    svg.Rect({left, y}, std::max(x(bar.value) - left, 0.5), kThickness, "bar", bar.name + ": " + bar.text);
    svg.Close();
    svg.Text({18, middle + 4}, Shorten(bar.name, kNameCells));
    double end = x(bar.value);
    if (bar.low && bar.high) {
      svg.Line({x(*bar.low), middle}, {x(*bar.high), middle}, "whisker");
      svg.Line({x(*bar.low), middle - 4}, {x(*bar.low), middle + 4}, "whisker");
      svg.Line({x(*bar.high), middle - 4}, {x(*bar.high), middle + 4}, "whisker");
      end = std::max(end, x(*bar.high));
    }
    svg.Text({end + 6, middle + 4}, bar.text, "small");
    y += kPitch;
  }
  svg.Line({left, kTop - 4}, {left, y - kPitch + kThickness + 4}, "axis");
  return svg.Finish(mode);
}

}  // namespace moecap::report
