#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "base/units.h"
#include "report/plot_axis.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 420;
constexpr PlotBox kArea{46, 66, kWidth - 6, 290};
constexpr double kRadius = 4.5;
constexpr size_t kNameCells = 16;
constexpr size_t kRoofCells = 34;
constexpr double kTextHeight = 11;

double Intensity(const RooflineMark& mark) { return mark.flops / mark.bytes; }
double Rate(const RooflineMark& mark) { return mark.flops / mark.latency_s; }

class RooflineDrawing {
 public:
  explicit RooflineDrawing(const RooflinePlot& plot)
      : plot_(plot),
        unit_(UnitOf(plot)),
        x_(Intensities(plot), AxisScale::kLog, kArea.left, kArea.right),
        y_(Rates(plot, unit_.first, x_), AxisScale::kLog, kArea.bottom, kArea.top),
        placer_(kArea),
        legend_(kWidth) {
    std::vector<size_t> seen;
    for (const auto& mark : plot.marks) {
      if (std::ranges::find(seen, mark.system) != seen.end()) continue;
      seen.push_back(mark.system);
      legend_.Add(mark.system, false, mark.name);
    }
  }

  std::string Draw(SvgMode mode) {
    Svg svg(plot_.frame.id, kWidth, kArea.bottom + 44 + legend_.Height(), plot_.frame.title, plot_.frame.description);
    svg.Text({0, 14}, plot_.frame.title, "title");
    svg.Text({0, 31}, plot_.frame.subtitle, "muted small");
    DrawAxes(svg, kArea, x_, y_, "FLOP per byte (log scale)", std::string(unit_.second) + " (log scale)");
    for (const auto& mark : plot_.marks) {
      const SvgPoint at = At(mark);
      placer_.Block({at.x - kRadius, at.y - kRadius, at.x + kRadius, at.y + kRadius});
    }
    Roofs(svg);
    for (const auto& mark : plot_.marks) Mark(svg, mark);
    Names(svg);
    legend_.Draw(svg, kArea.bottom + 40);
    return svg.Finish(mode);
  }

 private:
  using Unit = std::pair<double, const char*>;

  static Unit UnitOf(const RooflinePlot& plot) {
    double highest = 0;
    for (const auto& roof : plot.roofs) highest = std::max(highest, roof.flops_per_s);
    for (const auto& mark : plot.marks) highest = std::max(highest, Rate(mark));
    if (highest >= 2e15) return {1e15, "PFLOP/s"};
    if (highest >= 2e12) return {1e12, "TFLOP/s"};
    return {1e9, "GFLOP/s"};
  }

  static std::vector<double> Intensities(const RooflinePlot& plot) {
    std::vector<double> values;
    for (const auto& mark : plot.marks) values.push_back(Intensity(mark));
    for (const auto& roof : plot.roofs) values.push_back(roof.flops_per_s / plot.bandwidth_bytes_per_s);
    const auto [low, high] = std::ranges::minmax(values);
    // Room for the slope on the left and for the roofs, with their labels, on the right.
    values.push_back(low / 1.6);
    values.push_back(high * 4);
    return values;
  }

  // The lowest point of the slope that is shown is as low as the marks need.
  static std::vector<double> Rates(const RooflinePlot& plot, double unit, const PlotAxis& x) {
    std::vector<double> values;
    for (const auto& mark : plot.marks) values.push_back(Rate(mark) / unit);
    for (const auto& roof : plot.roofs) values.push_back(roof.flops_per_s / unit * 1.5);
    values.push_back(x.low() * plot.bandwidth_bytes_per_s / unit);
    if (plot.roofs.empty()) values.push_back(x.high() * plot.bandwidth_bytes_per_s / unit);
    return values;
  }

  SvgPoint At(const RooflineMark& mark) const { return {x_.At(Intensity(mark)), y_.At(Rate(mark) / unit_.first)}; }

  void Roofs(Svg& svg) {
    const double bandwidth = plot_.bandwidth_bytes_per_s;
    const auto on_slope = [&](double intensity) {
      return SvgPoint{x_.At(intensity), y_.At(intensity * bandwidth / unit_.first)};
    };
    double last = x_.low();
    for (const auto& roof : plot_.roofs) last = std::max(last, roof.flops_per_s / bandwidth);
    if (plot_.roofs.empty()) last = x_.high();
    const SvgPoint low = on_slope(x_.low());
    const SvgPoint high = on_slope(last);
    svg.Line(low, high, "roof");
    placer_.BlockLine(low, high);
    for (const auto& roof : plot_.roofs) {
      const double ridge = roof.flops_per_s / bandwidth;
      const SvgPoint corner = on_slope(ridge);
      svg.Line(corner, {kArea.right, corner.y}, "roof");
      svg.Line(corner, {corner.x, kArea.bottom}, "mark");
      placer_.BlockLine(corner, {kArea.right, corner.y});
      placer_.BlockLine(corner, {corner.x, kArea.bottom});
    }
    RoofLabels(svg, {(low.x + high.x) / 2, (low.y + high.y) / 2});
  }

  void RoofLabels(Svg& svg, SvgPoint middle_of_slope) {
    const double small = 10.0 / 12;
    for (const auto& roof : plot_.roofs) {
      const std::string rate = FormatSi(roof.flops_per_s, "FLOP/s");
      // Where the full name finds no room among the marks, the rate alone may.
      for (const std::string& text : {Shorten(roof.label, kRoofCells) + ": " + rate, rate}) {
        const auto place = placer_.FindAlong(y_.At(roof.flops_per_s / unit_.first), kArea.right - 2, kArea.left,
                                             TextWidth(text) * small, kTextHeight);
        if (!place) continue;
        svg.Text(place->at, text, "muted tiny halo", place->anchor);
        break;
      }
      const double ridge = roof.flops_per_s / plot_.bandwidth_bytes_per_s;
      const std::string note = "ridge " + FormatSignificant(ridge, 3);
      const auto foot = placer_.Find({x_.At(ridge), kArea.bottom - 9}, 1, TextWidth(note) * small, kTextHeight, 40);
      if (foot) svg.Text(foot->at, note, "muted tiny halo", foot->anchor);
    }
    const std::string slope = FormatSi(plot_.bandwidth_bytes_per_s, "B/s");
    const auto place = placer_.Find(middle_of_slope, 4, TextWidth(slope) * small, kTextHeight, 40);
    if (place) svg.Text(place->at, slope, "muted tiny halo", place->anchor);
  }

  void Mark(Svg& svg, const RooflineMark& mark) const {
    const SvgPoint at = At(mark);
    svg.Open(SystemClass(mark.system));
    svg.Marker(
        mark.system, at, kRadius, mark.prefill,
        fmt::format("{}, {}: {} at {} FLOP/B{}", mark.name, mark.prefill ? "prefill" : "decode", FormatSi(Rate(mark), "FLOP/s"),
                    FormatSignificant(Intensity(mark), 3), mark.valid ? "" : " (not valid)"));
    if (!mark.valid) svg.Text({at.x, at.y - 7}, "!", "title alarm", Anchor::kMiddle);
    svg.Close();
  }

  void Names(Svg& svg) {
    for (const auto& mark : plot_.marks) {
      const std::string name = Shorten(mark.name, kNameCells);
      const auto place = placer_.Find(At(mark), kRadius + (mark.valid ? 0 : 6), TextWidth(name) * 11 / 12, kTextHeight, 34);
      if (!place) continue;
      svg.Open(SystemClass(mark.system));
      DrawLabel(svg, At(mark), *place, name, "name small halo");
      svg.Close();
    }
  }

  const RooflinePlot& plot_;
  Unit unit_;
  PlotAxis x_, y_;
  LabelPlacer placer_;
  PlotLegend legend_;
};

}  // namespace

std::string DrawRoofline(const RooflinePlot& plot, SvgMode mode) {
  return plot.marks.empty() ? "" : RooflineDrawing(plot).Draw(mode);
}

}  // namespace moecap::report
