#include "report/load_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/table.h"
#include "base/units.h"
#include "report/plot_axis.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 420;
constexpr PlotBox kArea{50, 66, kWidth - 8, 270};
constexpr double kLogFrom = 4;  // a range of this factor is drawn on a logarithmic scale
constexpr size_t kInstants = 20;

std::string PercentileName(double q) { return fmt::format("p{:.6g}", 100 * q); }

double Logit(double q) { return std::log(q / (1 - q)); }

class PercentileDrawing {
 public:
  explicit PercentileDrawing(const PercentilePlot& plot)
      : plot_(plot),
        y_(Values(plot), IsWide(plot) ? AxisScale::kLog : AxisScale::kLinear, kArea.bottom, kArea.top),
        legend_(kWidth) {
    for (const auto& series : plot.series) {
      for (const auto& point : series.points) qs_.insert(point.q);
      if (plot.series.size() > 1) legend_.Add(series.system, false, series.name);
    }
  }

  std::string Draw(SvgMode mode) {
    const double legend = plot_.series.size() > 1 ? 14 + legend_.Height() : 0;
    Svg svg(plot_.frame.id, kWidth, kArea.bottom + 40 + legend, plot_.frame.title, plot_.frame.description);
    svg.Text({0, 14}, plot_.frame.title, "title");
    svg.Text({0, 31}, plot_.frame.subtitle, "muted small");
    Axes(svg);
    for (const auto& series : plot_.series) Series(svg, series);
    if (legend > 0) legend_.Draw(svg, kArea.bottom + 50);
    return svg.Finish(mode);
  }

  static std::vector<double> Values(const PercentilePlot& plot) {
    std::vector<double> values;
    for (const auto& series : plot.series) {
      for (const auto& point : series.points) {
        if (!point.supported) continue;
        values.insert(values.end(), {point.value, point.low.value_or(point.value), point.high.value_or(point.value)});
      }
    }
    return values;
  }

 private:
  static bool IsWide(const PercentilePlot& plot) {
    const std::vector<double> values = Values(plot);
    const auto [low, high] = std::ranges::minmax(values);
    return low > 0 && high > kLogFrom * low;
  }

  double X(double q) const {
    const double first = Logit(*qs_.begin());
    const double last = Logit(*qs_.rbegin());
    if (first == last) return (kArea.left + kArea.right) / 2;
    return kArea.left + 12 + (Logit(q) - first) / (last - first) * (kArea.right - kArea.left - 24);
  }

  void Axes(Svg& svg) const {
    for (const auto& tick : y_.Ticks(7)) {
      svg.Line({kArea.left, y_.At(tick.value)}, {kArea.right, y_.At(tick.value)}, "grid");
      if (!tick.text.empty()) svg.Text({kArea.left - 6, y_.At(tick.value) + 4}, tick.text, "muted small", Anchor::kEnd);
    }
    double free_from = 0;
    for (const double q : qs_) {
      svg.Line({X(q), kArea.top}, {X(q), kArea.bottom}, "grid");
      const std::string text = PercentileName(q);
      const double half = TextWidth(text) * 11 / 24;
      if (X(q) - half < free_from) continue;
      svg.Text({X(q), kArea.bottom + 15}, text, "muted small", Anchor::kMiddle);
      free_from = X(q) + half + 4;
    }
    svg.Line({kArea.left, kArea.bottom}, {kArea.right, kArea.bottom}, "axis");
    svg.Line({kArea.left, kArea.top}, {kArea.left, kArea.bottom}, "axis");
    svg.Text({(kArea.left + kArea.right) / 2, kArea.bottom + 32}, "percentile (logit scale)", "muted small", Anchor::kMiddle);
    svg.Text({0, kArea.top - 10}, plot_.y_label, "muted small");
  }

  void Series(Svg& svg, const PercentileSeries& series) const {
    svg.Open(SystemClass(series.system));
    std::vector<SvgPoint> line;
    for (const auto& point : series.points) {
      if (point.supported) line.push_back({X(point.q), y_.At(point.value)});
    }
    if (line.size() > 1) svg.Polyline(line, "line");
    for (const auto& point : series.points) {
      if (!point.supported) continue;
      const SvgPoint at{X(point.q), y_.At(point.value)};
      std::string bounds;
      if (point.low && point.high && *point.high > *point.low) {
        svg.Line({at.x, y_.At(*point.low)}, {at.x, y_.At(*point.high)}, "thin");
        bounds = fmt::format(" ({} to {})", FormatSignificant(*point.low, 3), FormatSignificant(*point.high, 3));
      }
      svg.Marker(series.system, at, 3.5, false,
                 fmt::format("{} {}: {}{}", series.name, PercentileName(point.q), FormatSignificant(point.value, 3), bounds));
    }
    svg.Close();
  }

  const PercentilePlot& plot_;
  PlotAxis y_;
  PlotLegend legend_;
  std::set<double> qs_;
};

std::vector<double> ValuesOf(const StepPlot& plot, bool time) {
  std::vector<double> values = {0};
  for (const auto& series : plot.series) {
    const auto& from = time ? series.at : series.value;
    values.insert(values.end(), from.begin(), from.end());
  }
  if (std::ranges::max(values) <= 0) values.push_back(1);
  return values;
}

class StepDrawing {
 public:
  explicit StepDrawing(const StepPlot& plot)
      : plot_(plot),
        x_(ValuesOf(plot, true), AxisScale::kLinear, kArea.left, kArea.right),
        y_(ValuesOf(plot, false), AxisScale::kLinear, kArea.bottom, kArea.top, true),
        legend_(kWidth) {
    if (plot.series.size() > 1) {
      for (const auto& series : plot.series) legend_.Add(series.system, false, series.name);
    }
  }

  std::string Draw(SvgMode mode) {
    const double legend = plot_.series.size() > 1 ? 14 + legend_.Height() : 0;
    Svg svg(plot_.frame.id, kWidth, kArea.bottom + 40 + legend, plot_.frame.title, plot_.frame.description);
    svg.Text({0, 14}, plot_.frame.title, "title");
    svg.Text({0, 31}, plot_.frame.subtitle, "muted small");
    for (const auto& band : plot_.bands) {
      svg.Open(SystemClass(0));
      svg.Rect({x_.At(band.from), kArea.top}, std::max(1.0, x_.At(band.to) - x_.At(band.from)), kArea.bottom - kArea.top,
               "area", band.label);
      svg.Close();
    }
    DrawAxes(svg, kArea, x_, y_, plot_.x_label, plot_.y_label);
    for (const auto& series : plot_.series) {
      std::vector<SvgPoint> line;
      for (size_t i = 0; i < series.at.size(); ++i) {
        if (i > 0) line.push_back({x_.At(series.at[i]), y_.At(series.value[i - 1])});
        line.push_back({x_.At(series.at[i]), y_.At(series.value[i])});
      }
      svg.Open(SystemClass(series.system));
      svg.Polyline(line, "thin");
      svg.Close();
    }
    if (legend > 0) legend_.Draw(svg, kArea.bottom + 50);
    return svg.Finish(mode);
  }

 private:
  const StepPlot& plot_;
  PlotAxis x_, y_;
  PlotLegend legend_;
};

}  // namespace

std::string DrawPercentiles(const PercentilePlot& plot, SvgMode mode) {
  return PercentileDrawing::Values(plot).empty() ? "" : PercentileDrawing(plot).Draw(mode);
}

std::string DrawSteps(const StepPlot& plot, SvgMode mode) {
  const bool any = std::ranges::any_of(plot.series, [](const StepSeries& series) { return series.at.size() > 1; });
  return any ? StepDrawing(plot).Draw(mode) : "";
}

PlotTable TableOf(const PercentilePlot& plot) {
  PlotTable table{{"percentile"}, {}};
  std::set<double> qs;
  for (const auto& series : plot.series) {
    table.head.push_back(series.name);
    for (const auto& point : series.points) qs.insert(point.q);
  }
  for (const double q : qs) {
    std::vector<std::string> row = {PercentileName(q)};
    for (const auto& series : plot.series) {
      const auto point = std::ranges::find(series.points, q, &PercentilePoint::q);
      std::string text = "-";
      if (point != series.points.end()) text = point->supported ? FormatSignificant(point->value, 3) : "n/a";
      if (point != series.points.end() && point->supported && point->low && point->high)
        text += fmt::format(" ({} to {})", FormatSignificant(*point->low, 3), FormatSignificant(*point->high, 3));
      row.push_back(std::move(text));
    }
    table.rows.push_back(std::move(row));
  }
  return qs.empty() ? PlotTable{} : table;
}

PlotTable TableOf(const StepPlot& plot) {
  PlotTable table{{plot.x_label}, {}};
  double first = 0, last = 0;
  bool any = false;
  for (const auto& series : plot.series) {
    table.head.push_back(series.name);
    if (series.at.empty()) continue;
    first = any ? std::min(first, series.at.front()) : series.at.front();
    last = any ? std::max(last, series.at.back()) : series.at.back();
    any = true;
  }
  if (!any) return {};
  for (size_t i = 0; i < kInstants; ++i) {
    const double at = first + (last - first) * static_cast<double>(i) / (kInstants - 1);
    std::vector<std::string> row = {FormatSignificant(at, 3)};
    for (const auto& series : plot.series) {
      const auto next = std::ranges::upper_bound(series.at, at);
      const bool known = next != series.at.begin();
      row.push_back(known ? FormatSignificant(series.value[static_cast<size_t>(next - series.at.begin()) - 1], 3) : "-");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace moecap::report
