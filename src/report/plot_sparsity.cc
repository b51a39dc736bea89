#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "base/units.h"
#include "report/plot_axis.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 560;
constexpr PlotBox kFull{44, 66, kWidth, 330};
constexpr double kRadius = 4.5;
constexpr size_t kNameCells = 20;
constexpr double kTextHeight = 11;
constexpr double kBold = 1.15;  // how much wider bold text is

std::string Percent(double share) { return FormatPercent(share, 1); }

class SparsityDrawing {
 public:
  explicit SparsityDrawing(const SparsityCurve& curve)
      : curve_(curve),
        area_(Area(curve)),
        x_(Batches(curve), AxisScale::kLog2, area_.left, area_.right),
        y_({0.0, 100.0}, AxisScale::kLinear, area_.bottom, area_.top, true),
        placer_(area_),
        legend_(kWidth) {
    std::vector<std::pair<size_t, std::string>> seen;
    for (const auto& point : curve.measured) {
      const std::pair key(point.system, point.name);
      if (std::ranges::find(seen, key) == seen.end()) {
        seen.push_back(key);
        legend_.Add(point.system, false, point.name + ", measured");
      }
    }
  }

  std::string Draw(SvgMode mode) {
    Svg svg(curve_.frame.id, kWidth, area_.bottom + 46 + legend_.Height(), curve_.frame.title, curve_.frame.description);
    svg.Text({0, 14}, curve_.frame.title, "title");
    svg.Text({0, 31}, curve_.frame.subtitle, "muted small");
    DrawAxes(svg, area_, x_, y_, "batch size (log scale)", curve_.y_label);
    for (const auto& band : curve_.bands) Band(svg, band);
    Measured(svg);
    Names(svg);
    legend_.Draw(svg, area_.bottom + 42);
    return svg.Finish(mode);
  }

 private:
  // The names of the bands stand to the right of the plot.
  static PlotBox Area(const SparsityCurve& curve) {
    PlotBox area = kFull;
    double label = 6;
    for (const auto& band : curve.bands) label = std::max(label, kBold * TextWidth(Shorten(band.name, kNameCells)) + 6);
    area.right -= label;
    return area;
  }

  static std::vector<double> Batches(const SparsityCurve& curve) {
    std::vector<double> batches;
    for (const auto& band : curve.bands) {
      for (const auto& point : band.points) batches.push_back(point.batch);
    }
    for (const auto& point : curve.measured) batches.push_back(point.batch);
    return batches;
  }

  SvgPoint At(double batch, double share) const { return {x_.At(batch), y_.At(share * 100)}; }

  void Band(Svg& svg, const ShareBand& band) {
    std::vector<SvgPoint> upper;
    std::vector<SvgPoint> lower;
    for (const auto& point : band.points) {
      upper.push_back(At(point.batch, point.high));
      lower.push_back(At(point.batch, point.low));
    }
    std::vector<SvgPoint> outline = upper;
    outline.insert(outline.end(), lower.rbegin(), lower.rend());
    svg.Open(SystemClass(band.system));
    svg.Polygon(outline, "band");
    svg.Polyline(upper, "dash");
    svg.Polyline(lower, "line");
    for (const auto& point : band.points) {
      svg.Marker(0, At(point.batch, point.low), 1.8, false,
                 fmt::format("{} at batch {}: {} to {} (estimate)", band.name, TickNumber(point.batch), Percent(point.low),
                             Percent(point.high)));
    }
    svg.Close();
    for (size_t i = 1; i < lower.size(); ++i) placer_.BlockLine(lower[i - 1], lower[i]);
    for (size_t i = 1; i < upper.size(); ++i) placer_.BlockLine(upper[i - 1], upper[i]);
  }

  void Measured(Svg& svg) {
    for (const auto& point : curve_.measured) {
      const SvgPoint at = At(point.batch, point.share);
      placer_.Block({at.x - kRadius, at.y - kRadius, at.x + kRadius, at.y + kRadius});
    }
    for (const auto& point : curve_.measured) {
      const SvgPoint at = At(point.batch, point.share);
      svg.Open(SystemClass(point.system));
      if (point.low && point.high && *point.high > *point.low) {
        const double top = At(point.batch, *point.high).y;
        const double bottom = At(point.batch, *point.low).y;
        svg.Line({at.x, bottom}, {at.x, top}, "thin");
        for (const double y : {bottom, top}) svg.Line({at.x - 3, y}, {at.x + 3, y}, "thin");
      }
      svg.Marker(point.system, at, kRadius, false,
                 fmt::format("{} at batch {}: {} (measured)", point.name, TickNumber(point.batch), Percent(point.share)));
      svg.Close();
      const std::string text = Percent(point.share);
      const auto place = placer_.Find(at, kRadius, TextWidth(text) * 10 / 12, kTextHeight, 24);
      if (place) DrawLabel(svg, at, *place, text, "tiny halo");
    }
  }

  // Beside the ends of the bands, pushed apart where they would overlap.
  void Names(Svg& svg) const {
    struct Name {
      const ShareBand* band;
      double y;
    };
    std::vector<Name> names;
    for (const auto& band : curve_.bands) {
      if (band.name.empty() || band.points.empty()) continue;
      names.push_back({&band, (At(1, band.points.back().low).y + At(1, band.points.back().high).y) / 2});
    }
    std::ranges::stable_sort(names, {}, &Name::y);
    std::vector<double> wanted;
    for (const auto& name : names) wanted.push_back(name.y);
    const std::vector<double> ys = SpreadApart(std::move(wanted), 14, area_.bottom);
    for (size_t i = 0; i < names.size(); ++i) {
      svg.Open(SystemClass(names[i].band->system));
      svg.Text({area_.right + 4, ys[i] + 4}, Shorten(names[i].band->name, kNameCells), "name");
      svg.Close();
    }
  }

  const SparsityCurve& curve_;
  PlotBox area_;
  PlotAxis x_, y_;
  LabelPlacer placer_;
  PlotLegend legend_;
};

}  // namespace

std::string DrawSparsityCurve(const SparsityCurve& curve, SvgMode mode) {
  const bool empty =
      curve.measured.empty() && std::ranges::all_of(curve.bands, [](const ShareBand& band) { return band.points.empty(); });
  return empty ? "" : SparsityDrawing(curve).Draw(mode);
}

}  // namespace moecap::report
