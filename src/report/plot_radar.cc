#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/table.h"
#include "base/units.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 420;
constexpr SvgPoint kCenter{210, 232};
constexpr double kRadius = 172;
constexpr double kLegendTop = 366;
constexpr size_t kNameCells = 22;

class RadarDrawing {
 public:
  explicit RadarDrawing(const RadarPlot& plot) : plot_(plot) {}

  std::string Draw(SvgMode mode) {
    Svg svg(plot_.frame.id, kWidth, kLegendTop + LegendHeight() + 4, plot_.frame.title, plot_.frame.description);
    svg.Text({0, 14}, plot_.frame.title, "title");
    svg.Text({0, 31}, plot_.frame.subtitle, "muted small");
    Grid(svg);
    for (const auto& series : plot_.series) Shape(svg, series);
    for (const double ring : {25.0, 50.0, 75.0, 100.0}) {
      svg.Text({At(0, ring).x - 7, At(0, ring).y + 12}, FormatFixed(ring, 0), "muted tiny halo", Anchor::kEnd);
    }
    Markers(svg);
    Legend(svg);
    return svg.Finish(mode);
  }

 private:
  SvgPoint Direction(size_t axis) const {
    const double angle = std::numbers::pi * (0.5 - 2 * static_cast<double>(axis) / static_cast<double>(plot_.axes.size()));
    return {std::cos(angle), -std::sin(angle)};
  }
  SvgPoint At(size_t axis, double score) const {
    const SvgPoint direction = Direction(axis);
    const double r = kRadius * std::clamp(score, 0.0, 100.0) / 100;
    return {kCenter.x + r * direction.x, kCenter.y + r * direction.y};
  }

  void Grid(Svg& svg) const {
    for (const double ring : {25.0, 50.0, 75.0, 100.0}) {
      std::vector<SvgPoint> corners;
      for (size_t axis = 0; axis < plot_.axes.size(); ++axis) corners.push_back(At(axis, ring));
      svg.Polygon(corners, ring == 100 ? "axis" : "grid");
    }
    for (size_t axis = 0; axis < plot_.axes.size(); ++axis) {
      svg.Line(kCenter, At(axis, 100), "grid");
      const SvgPoint direction = Direction(axis);
      const SvgPoint tip = At(axis, 100);
      const bool side = std::abs(direction.x) > 0.1;
      const Anchor anchor = !side ? Anchor::kMiddle : direction.x > 0 ? Anchor::kEnd : Anchor::kStart;
      // Lower corners are labelled below, flush with the edge of the drawing.
      svg.Text({side ? (direction.x > 0 ? kWidth - 8 : 8) : tip.x, tip.y + (side ? 20 : -10)}, plot_.axes[axis], "title",
               anchor);
    }
  }

  void Shape(Svg& svg, const RadarSeries& series) const {
    const size_t axes = plot_.axes.size();
    svg.Open(SystemClass(series.system));
    if (std::ranges::all_of(series.scores, [](const auto& score) { return score.has_value(); })) {
      std::vector<SvgPoint> corners;
      for (size_t axis = 0; axis < axes; ++axis) corners.push_back(At(axis, *series.scores[axis]));
      svg.Polygon(corners, "area");
      svg.Polygon(corners, "line");
    } else {
      for (size_t axis = 0; axis < axes; ++axis) {
        const size_t next = (axis + 1) % axes;
        if (series.scores[axis] && series.scores[next])
          svg.Line(At(axis, *series.scores[axis]), At(next, *series.scores[next]), "dash");
      }
    }
    svg.Close();
  }

  // Markers that would cover each other step aside, across their axis.
  void Markers(Svg& svg) const {
    std::vector<SvgPoint> taken;
    for (const auto& series : plot_.series) {
      svg.Open(SystemClass(series.system));
      for (size_t axis = 0; axis < plot_.axes.size(); ++axis) {
        if (!series.scores[axis]) continue;
        const SvgPoint home = At(axis, *series.scores[axis]);
        const SvgPoint direction = Direction(axis);
        SvgPoint at = home;
        for (int step = 1; step < 20 && std::ranges::any_of(taken, [&at](const SvgPoint& other) { return Near(at, other); });
             ++step) {
          const double shift = 11.0 * ((step + 1) / 2) * (step % 2 == 1 ? 1 : -1);
          at = {home.x - direction.y * shift, home.y + direction.x * shift};
        }
        taken.push_back(at);
        svg.Marker(series.system, at, 5, false,
                   fmt::format("{}, {}: {}", series.name, plot_.axes[axis], FormatFixed(*series.scores[axis], 0)));
      }
      svg.Close();
    }
  }
  static bool Near(const SvgPoint& a, const SvgPoint& b) { return std::hypot(a.x - b.x, a.y - b.y) < 10; }

  // Legend entries flow from left to right.
  template <typename Place>
  double Flow(const Place& place) const {
    double x = 0;
    double y = 0;
    for (const auto& series : plot_.series) {
      const std::string name = Shorten(series.name, kNameCells);
      const double width = TextWidth(name) + 34;
      if (x > 0 && x + width > kWidth) {
        x = 0;
        y += 20;
      }
      place(series, name, SvgPoint{x, y});
      x += width;
    }
    return y + 20;
  }
  double LegendHeight() const {
    return Flow([](const RadarSeries&, const std::string&, SvgPoint) {});
  }
  void Legend(Svg& svg) const {
    Flow([&svg](const RadarSeries& series, const std::string& name, SvgPoint at) {
      svg.Open(SystemClass(series.system));
      svg.Marker(series.system, {at.x + 8, kLegendTop + at.y + 4}, 5, false);
      svg.Close();
      svg.Text({at.x + 20, kLegendTop + at.y + 8}, name);
    });
  }

  const RadarPlot& plot_;
};

}  // namespace

std::string DrawRadar(const RadarPlot& plot, SvgMode mode) { return plot.series.empty() ? "" : RadarDrawing(plot).Draw(mode); }

}  // namespace moecap::report
