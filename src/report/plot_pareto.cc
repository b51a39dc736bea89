#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "base/units.h"
#include "report/plot_axis.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 420;
constexpr PlotBox kArea{46, 66, kWidth - 6, 270};
constexpr double kRadius = 5;
constexpr size_t kNameCells = 18;
constexpr double kBold = 1.15;  // how much wider bold text is
constexpr double kTextHeight = 12;

std::vector<double> Values(const std::vector<ParetoMark>& marks, const PlotScale& scale, double ParetoMark::*value,
                           std::optional<double> ParetoMark::*low, std::optional<double> ParetoMark::*high) {
  std::vector<double> values;
  for (const auto& mark : marks) {
    for (const double each : {mark.*value, (mark.*low).value_or(mark.*value), (mark.*high).value_or(mark.*value)}) {
      // An interval that reaches 0 has no place on a logarithmic scale; it ends at the frame.
      if (!scale.logarithmic || each > 0) values.push_back(each / scale.unit);
    }
  }
  return values;
}

AxisScale ScaleOf(const PlotScale& scale) { return scale.logarithmic ? AxisScale::kLog : AxisScale::kLinear; }

class ParetoDrawing {
 public:
  explicit ParetoDrawing(const ParetoPlot& plot)
      : plot_(plot),
        x_(Values(plot.marks, plot.x, &ParetoMark::x, &ParetoMark::x_low, &ParetoMark::x_high), ScaleOf(plot.x), kArea.left,
           kArea.right),
        y_(Values(plot.marks, plot.y, &ParetoMark::y, &ParetoMark::y_low, &ParetoMark::y_high), ScaleOf(plot.y), kArea.bottom,
           kArea.top),
        placer_(kArea) {}

  std::string Draw(SvgMode mode) {
    Svg svg(plot_.frame.id, kWidth, kArea.bottom + 40, plot_.frame.title, plot_.frame.description);
    svg.Text({0, 14}, plot_.frame.title, "title");
    svg.Text({0, 31}, plot_.frame.subtitle, "muted small");
    DrawAxes(svg, kArea, x_, y_, plot_.x.label, plot_.y.label);
    Front(svg);
    for (const auto& mark : plot_.marks) {
      const SvgPoint at = At(mark);
      placer_.Block({at.x - kRadius, at.y - kRadius, at.x + kRadius, at.y + kRadius});
    }
    for (const auto& mark : plot_.marks) Mark(svg, mark);
    Names(svg);
    Better(svg);
    return svg.Finish(mode);
  }

 private:
  SvgPoint At(const ParetoMark& mark) const { return {x_.At(mark.x / plot_.x.unit), y_.At(mark.y / plot_.y.unit)}; }

  // The border of what the front dominates, from edge to edge.
  void Front(Svg& svg) {
    std::vector<SvgPoint> front;
    for (const auto& mark : plot_.marks) {
      if (mark.on_front && mark.valid) front.push_back(At(mark));
    }
    if (front.empty()) return;
    // In coordinates where smaller is better in both.
    const double sx = plot_.x.higher_is_better ? -1 : 1;
    const double sy = plot_.y.higher_is_better ? 1 : -1;
    std::ranges::sort(front, {}, [&](const SvgPoint& point) { return std::pair(sx * point.x, sy * point.y); });
    std::vector<SvgPoint> steps = {{front.front().x, sy > 0 ? kArea.bottom : kArea.top}};
    for (const SvgPoint& point : front) {
      if (steps.size() > 1 && sy * point.y >= sy * steps.back().y) continue;
      if (steps.size() > 1) steps.push_back({point.x, steps.back().y});
      steps.push_back(point);
    }
    steps.push_back({sx > 0 ? kArea.right : kArea.left, steps.back().y});
    svg.Polyline(steps, "step");
    for (size_t i = 1; i < steps.size(); ++i) placer_.BlockLine(steps[i - 1], steps[i]);
  }

  void Whisker(Svg& svg, SvgPoint from, SvgPoint to) {
    const bool flat = from.y == to.y;
    svg.Line(from, to, "thin");
    for (const SvgPoint& end : {from, to})
      svg.Line({end.x - (flat ? 0 : 3), end.y - (flat ? 3 : 0)}, {end.x + (flat ? 0 : 3), end.y + (flat ? 3 : 0)}, "thin");
    placer_.BlockLine(from, to);
  }

  void Mark(Svg& svg, const ParetoMark& mark) {
    const SvgPoint at = At(mark);
    svg.Open(SystemClass(mark.system));
    if (mark.x_low && mark.x_high && *mark.x_high > *mark.x_low)
      Whisker(svg, {x_.At(*mark.x_low / plot_.x.unit), at.y}, {x_.At(*mark.x_high / plot_.x.unit), at.y});
    if (mark.y_low && mark.y_high && *mark.y_high > *mark.y_low)
      Whisker(svg, {at.x, y_.At(*mark.y_low / plot_.y.unit)}, {at.x, y_.At(*mark.y_high / plot_.y.unit)});
    const char* state = !mark.valid ? " (not valid)" : mark.on_front ? " (on the front)" : " (dominated)";
    svg.Marker(mark.system, at, kRadius, !mark.on_front || !mark.valid,
               fmt::format("{}: {}, {}{}", mark.name, FormatSignificant(mark.x / plot_.x.unit, 3),
                           FormatSignificant(mark.y / plot_.y.unit, 3), state));
    if (!mark.valid) svg.Text({at.x, at.y - 8}, "!", "title alarm", Anchor::kMiddle);
    svg.Close();
  }

  void Names(Svg& svg) {
    for (const auto& mark : plot_.marks) {
      const std::string name = Shorten(mark.name, kNameCells);
      const auto place = placer_.Find(At(mark), kRadius + (mark.valid ? 0 : 6), kBold * TextWidth(name), kTextHeight, 60);
      if (!place) continue;
      svg.Open(SystemClass(mark.system));
      DrawLabel(svg, At(mark), *place, name, "name halo");
      svg.Close();
    }
  }

  // Says which corner is the good one, where there is room.
  void Better(Svg& svg) {
    const bool right = plot_.x.higher_is_better;
    const bool up = plot_.y.higher_is_better;
    const char* text = right ? (up ? "better ↗" : "better ↘") : (up ? "↖ better" : "↙ better");
    const auto place = placer_.FindAlong(up ? kArea.top + 0.5 : kArea.bottom - 0.5, right ? kArea.right - 3 : kArea.left + 3,
                                         right ? kArea.left : kArea.right, 50, 10);
    if (place) svg.Text(place->at, text, "muted tiny", place->anchor);
  }

  const ParetoPlot& plot_;
  PlotAxis x_, y_;
  LabelPlacer placer_;
};

}  // namespace

std::string DrawPareto(const ParetoPlot& plot, SvgMode mode) {
  return plot.marks.empty() ? "" : ParetoDrawing(plot).Draw(mode);
}

}  // namespace moecap::report
