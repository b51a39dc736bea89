#include "report/load_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/units.h"
#include "cap/pareto.h"
#include "report/load_plots.h"
#include "report/load_tables.h"
#include "report/plot_axis.h"
#include "report/words.h"

namespace moecap::report {
namespace {

using metrics::LoadCell;
using metrics::LoadTestSummary;

constexpr size_t kMostSeries = 6;  // as many as there are colours
constexpr size_t kMostCurves = 12;

// The load of a cell as a number, and what it counts.
std::optional<double> LoadOf(const LoadCell& cell) {
  if (cell.clients) return *cell.clients;
  return cell.rate_per_s;
}

Chart DistributionChart(const LoadTestSummary& summary, const char* figure, const char* label, const char* name, SvgMode mode) {
  PercentilePlot plot;
  plot.frame = {name, fmt::format("{} by percentile", label),
                "whiskers: bounds at 99 %; percentiles with too few samples are left out", ""};
  plot.y_label = fmt::format("{}, ms", label);
  for (size_t i = 0; i < summary.cells.size() && i < kMostSeries; ++i) {
    const auto* latency = FindLatency(summary.cells[i].whole, figure);
    if (latency == nullptr) continue;
    PercentileSeries series{i, LoadCellName(summary, i) + (summary.cells[i].IsValid() ? "" : " !"), {}};
    for (const auto& estimate : latency->quantiles) {
      if (!Drawable(estimate.value)) continue;
      PercentilePoint point;
      point.q = estimate.q;
      point.value = estimate.value / kMilli;
      point.supported = estimate.supported;
      if (estimate.low) point.low = *estimate.low / kMilli;
      if (estimate.high) point.high = *estimate.high / kMilli;
      series.points.push_back(point);
    }
    plot.series.push_back(std::move(series));
  }
  std::vector<std::string> parts;
  for (const auto& series : plot.series) {
    const auto median = std::ranges::find(series.points, 0.5, &PercentilePoint::q);
    const PercentilePoint* highest = nullptr;
    for (const auto& point : series.points) highest = point.supported ? &point : highest;
    if (median == series.points.end() || !median->supported || highest == nullptr || highest->q <= 0.5 || median->value <= 0)
      continue;
    parts.push_back(fmt::format("{}: {} ms at the median, {} times that at {}", series.name,
                                FormatSignificant(median->value, 3), FormatSignificant(highest->value / median->value, 3),
                                QuantileName(highest->q)));
  }
  for (const auto& part : parts) plot.frame.description += (plot.frame.description.empty() ? "" : "; ") + part;
  if (!plot.frame.description.empty()) plot.frame.description += ".";
  return {name, DrawPercentiles(plot, mode), plot.frame.description, 0, TableOf(plot)};
}

Chart ConcurrencyChart(const LoadTestSummary& summary, size_t index, SvgMode mode) {
  const LoadCell& cell = summary.cells[index];
  const std::string name = fmt::format("load-concurrency-{}", index);
  StepPlot plot;
  plot.frame = {name, fmt::format("In flight, {}", LoadCellName(summary, index)),
                cell.steady ? "requests over time; shaded: the busy part" : "requests over time", ""};
  plot.x_label = "time, s";
  plot.y_label = "requests in flight";
  StepSeries series{index, "requests in flight", {}, {}};
  for (const auto& step : cell.concurrency_curve) {
    series.at.push_back(step.at_s);
    series.value.push_back(static_cast<double>(step.requests));
  }
  plot.series.push_back(std::move(series));
  if (cell.steady) plot.bands.push_back({cell.steady->window.from_s, cell.steady->window.to_s, "busy part"});
  plot.frame.description =
      fmt::format("{} in flight on average, {} at the peak{}.", FormatSignificant(cell.concurrency.mean, 3),
                  cell.concurrency.peak, cell.steady ? "; " + cell.steady->verdict : "");
  return {name, DrawSteps(plot, mode), plot.frame.description, index, TableOf(plot)};
}

Chart ParetoChart(const LoadTestSummary& summary, SvgMode mode) {
  ParetoPlot plot;
  plot.frame = {"load-throughput-speed", "Throughput and speed for each user", "filled: no other load is better in both", ""};
  plot.x = {"output speed of one request, tokens/s (1 / median TPOT)", false, true, 1};
  plot.y = {"output tokens/s of the server", false, true, 1};
  std::vector<cap::ParetoPoint> points;
  for (size_t i = 0; i < summary.cells.size(); ++i) {
    const LoadCell& cell = summary.cells[i];
    const auto* tpot = FindQuantile(FindLatency(cell.whole, "tpot_s"), 0.5);
    if (tpot == nullptr || !tpot->supported || tpot->value <= 0 || !Drawable(cell.whole.output_tokens_per_s)) continue;
    ParetoMark mark;
    mark.system = i;
    mark.name = LoadCellName(summary, i);
    mark.x = 1 / tpot->value;
    mark.y = cell.whole.output_tokens_per_s;
    mark.valid = cell.IsValid();
    if (!Drawable(mark.x)) continue;
    points.push_back({-mark.x, -mark.y});
    plot.marks.push_back(std::move(mark));
  }
  if (plot.marks.size() < 2) return {};
  std::vector<cap::ParetoPoint> valid;
  for (size_t i = 0; i < points.size(); ++i) {
    if (plot.marks[i].valid) valid.push_back(points[i]);
  }
  std::vector<std::string> front;
  for (size_t i = 0; i < points.size(); ++i) {
    ParetoMark& mark = plot.marks[i];
    mark.on_front =
        mark.valid && std::ranges::none_of(valid, [&](const auto& other) { return cap::Dominates(other, points[i]); });
    if (mark.on_front) front.push_back(mark.name);
  }
  plot.frame.description = front.empty() ? "No load passed its validity gates."
                                         : fmt::format("No load is better in both than {}.", JoinWords(front));
  return {"load-throughput-speed", DrawPareto(plot, mode), plot.frame.description, 0, TableOf(plot)};
}

// Median and p99 of a latency over the load.
Chart LatencyByLoad(const LoadTestSummary& summary, const char* figure, const char* label,
                    const std::optional<double>& objective, SvgMode mode) {
  std::string name = std::string("load-") + (std::string_view(figure) == "ttft_s" ? "ttft" : "tpot") + "-by-load";
  LinePlot plot;
  plot.frame = {name, fmt::format("{} against the load", label), fmt::format("{}, ms; p99 where the sample supports it", label),
                ""};
  const bool closed = summary.cells.front().clients.has_value();
  plot.x_label = closed ? "clients" : "requests/s offered";
  for (const double q : {0.5, 0.99}) {
    PlotSeries series{q == 0.5 ? size_t{0} : size_t{1}, QuantileName(q), {}, false, ""};
    for (const LoadCell& cell : summary.cells) {
      const auto* estimate = FindQuantile(FindLatency(cell.whole, figure), q);
      const auto load = LoadOf(cell);
      if (!load || *load <= 0 || cell.clients.has_value() != closed || estimate == nullptr || !estimate->supported) continue;
      if (!Drawable(estimate->value)) continue;
      PlotPoint point;
      point.x = *load;
      point.y = estimate->value / kMilli;
      point.valid = cell.IsValid();
      if (estimate->low && estimate->high) {
        point.low = *estimate->low / kMilli;
        point.high = *estimate->high / kMilli;
      }
      series.points.push_back(point);
    }
    std::ranges::stable_sort(series.points, {}, &PlotPoint::x);
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  if (plot.series.empty() || plot.series.front().points.size() < 2) return {};
  if (objective) plot.references.push_back({*objective / kMilli, "objective"});
  const auto& points = plot.series.front().points;
  plot.frame.description = fmt::format("From {} to {} {}, the median {} goes from {} to {} ms.", TickNumber(points.front().x),
                                       TickNumber(points.back().x), plot.x_label, label, FormatSignificant(points.front().y, 3),
                                       FormatSignificant(points.back().y, 3));
  return {name, DrawLines(plot, mode), plot.frame.description, 0, TableOf(plot)};
}

void AppendDrawn(std::vector<Chart>& charts, Chart chart) {
  if (!chart.svg.empty()) charts.push_back(std::move(chart));
}

}  // namespace

std::vector<Chart> LoadDistributionCharts(const LoadTestSummary& summary, SvgMode mode) {
  std::vector<Chart> charts;
  AppendDrawn(charts, DistributionChart(summary, "ttft_s", "TTFT", "load-ttft", mode));
  AppendDrawn(charts, DistributionChart(summary, "itl_s", "ITL", "load-itl", mode));
  return charts;
}

std::vector<Chart> LoadConcurrencyCharts(const LoadTestSummary& summary, SvgMode mode) {
  std::vector<Chart> charts;
  for (size_t i = 0; i < summary.cells.size() && i < kMostCurves; ++i) AppendDrawn(charts, ConcurrencyChart(summary, i, mode));
  return charts;
}

std::vector<Chart> LoadSweepCharts(const LoadTestSummary& summary, SvgMode mode) {
  std::vector<Chart> charts;
  std::set<std::string> loads;
  for (const LoadCell& cell : summary.cells) loads.insert(cell.label);
  if (loads.size() < 2) return charts;
  AppendDrawn(charts, ParetoChart(summary, mode));
  AppendDrawn(charts, LatencyByLoad(summary, "ttft_s", "TTFT", summary.objectives.ttft_s, mode));
  AppendDrawn(charts, LatencyByLoad(summary, "tpot_s", "TPOT", summary.objectives.tpot_s, mode));
  return charts;
}

}  // namespace moecap::report
