#include "report/plot_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/units.h"
#include "report/plot_axis.h"

namespace moecap::report {
namespace {

constexpr const char* kNone = "-";

std::string Interval(const std::optional<double>& low, const std::optional<double>& high, double unit = 1) {
  if (!low || !high) return "";
  return fmt::format(" ({} to {})", FormatSignificant(*low / unit, 3), FormatSignificant(*high / unit, 3));
}

std::string Share(double share) { return FormatPercent(share, 1); }

}  // namespace

PlotTable TableOf(const LinePlot& plot) {
  PlotTable table{{plot.x_label}, {}};
  std::set<double> xs;
  for (const auto& series : plot.series) {
    table.head.push_back(series.long_name.empty() ? series.name : series.long_name);
    for (const auto& point : series.points) xs.insert(point.x);
  }
  for (const double x : xs) {
    std::vector<std::string> row = {TickNumber(x)};
    for (const auto& series : plot.series) {
      const auto found = std::ranges::find(series.points, x, &PlotPoint::x);
      row.push_back(found == series.points.end()
                        ? kNone
                        : FormatSignificant(found->y, 3) + Interval(found->low, found->high) + (found->valid ? "" : "!"));
    }
    table.rows.push_back(std::move(row));
  }
  return xs.empty() ? PlotTable{} : table;
}

PlotTable TableOf(const BarPlot& plot) {
  if (plot.bars.empty()) return {};
  PlotTable table{{"system", plot.frame.title}, {}};
  for (const auto& bar : plot.bars) table.rows.push_back({bar.name, bar.text + (bar.valid ? "" : "!")});
  return table;
}

PlotTable TableOf(const RadarPlot& plot) {
  if (plot.series.empty()) return {};
  PlotTable table{{"system"}, {}};
  table.head.insert(table.head.end(), plot.axes.begin(), plot.axes.end());
  for (const auto& series : plot.series) {
    std::vector<std::string> row = {series.name};
    for (const auto& score : series.scores) row.push_back(score ? FormatFixed(*score, 1) : kNone);
    table.rows.push_back(std::move(row));
  }
  return table;
}

PlotTable TableOf(const HeatMap& map) {
  PlotTable table{{map.row_label, "highest", "of " + map.column_label, "lowest", "never"}, {}};
  for (size_t i = 0; i < map.ratios.size(); ++i) {
    const auto& row = map.ratios[i];
    if (row.empty()) continue;
    const auto [low, high] = std::ranges::minmax_element(row);
    table.rows.push_back({std::to_string(i), FormatSignificant(*high, 3), std::to_string(high - row.begin()),
                          FormatSignificant(*low, 3), std::to_string(std::ranges::count(row, 0.0))});
  }
  return table.rows.empty() ? PlotTable{} : table;
}

PlotTable TableOf(const ParetoPlot& plot) {
  if (plot.marks.empty()) return {};
  PlotTable table{{"system", plot.x.label, plot.y.label, "front"}, {}};
  for (const auto& mark : plot.marks) {
    table.rows.push_back({mark.name,
                          FormatSignificant(mark.x / plot.x.unit, 3) + Interval(mark.x_low, mark.x_high, plot.x.unit),
                          FormatSignificant(mark.y / plot.y.unit, 3) + Interval(mark.y_low, mark.y_high, plot.y.unit),
                          !mark.valid     ? "not valid"
                          : mark.on_front ? "yes"
                                          : "no"});
  }
  return table;
}

PlotTable TableOf(const RooflinePlot& plot) {
  if (plot.marks.empty()) return {};
  PlotTable table{{"system", "phase", "FLOP per byte", "FLOP/s", "of the bandwidth"}, {}};
  for (const auto& mark : plot.marks) {
    table.rows.push_back({mark.name, std::string(mark.prefill ? "prefill" : "decode") + (mark.valid ? "" : "!"),
                          FormatSignificant(mark.flops / mark.bytes, 3), FormatSi(mark.flops / mark.latency_s, "FLOP/s"),
                          Share(mark.bytes / mark.latency_s / plot.bandwidth_bytes_per_s)});
  }
  return table;
}

PlotTable TableOf(const HardwareMap& map) {
  if (map.devices.empty()) return {};
  PlotTable table{{"device", "class", "bandwidth", "power, W"}, {}};
  for (const auto& device : map.devices) {
    table.rows.push_back({device.name, device.kind < map.kinds.size() ? map.kinds[device.kind] : kNone,
                          FormatSi(device.bandwidth_bytes_per_s, "B/s"), TickNumber(device.power_w)});
  }
  return table;
}

PlotTable TableOf(const SparsityCurve& curve) {
  PlotTable table{{"model", "batch", "share", "source"}, {}};
  for (const auto& band : curve.bands) {
    for (const auto& point : band.points) {
      table.rows.push_back({band.name, TickNumber(point.batch), Share(point.low) + " to " + Share(point.high), "estimate"});
    }
  }
  for (const auto& point : curve.measured) {
    const std::string range = point.low && point.high ? fmt::format(" ({} to {})", Share(*point.low), Share(*point.high)) : "";
    table.rows.push_back({point.name, TickNumber(point.batch), Share(point.share) + range, "measured"});
  }
  return table.rows.empty() ? PlotTable{} : table;
}

}  // namespace moecap::report
