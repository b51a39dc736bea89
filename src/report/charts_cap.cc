// The charts that weigh cost, accuracy and performance against each other and against the hardware.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "cap/pareto.h"
#include "report/charts.h"
#include "report/figures.h"
#include "report/plots.h"
#include "report/words.h"

namespace moecap::report {
namespace {

std::optional<double> DrawableScore(std::optional<double> score) { return score && Drawable(*score) ? score : std::nullopt; }

Chart PaperRadar(const RunSummary& summary, SvgMode mode) {
  RadarPlot plot{
      {"cap-radar", "CAP radar", fmt::format("scores at concurrency {}, outer is better", summary.cap_concurrency), ""},
      {"Accuracy", "Performance", "Cost"},
      {}};
  for (size_t i = 0; i < summary.cap.size(); ++i) {
    const auto& scores = summary.cap[i];
    plot.series.push_back(
        {i, scores.system, {DrawableScore(scores.accuracy), DrawableScore(scores.performance), DrawableScore(scores.cost)}});
    plot.frame.description += fmt::format("{}: {}. ", scores.system, ClassMeaning(scores.cap_class));
  }
  return {"cap-radar", DrawRadar(plot, mode), ReadRadar(summary), 0, TableOf(plot)};
}

// Axes that have a robust score, in the order accuracy, performance, cost as the paper's radar, then the others.
std::vector<const cap::AxisScores*> ScoredAxes(const RunSummary& summary) {
  std::vector<const cap::AxisScores*> axes;
  for (const auto& axis : summary.cap_axes) {
    const bool any = std::ranges::any_of(axis.robust_score, [](const auto& score) { return DrawableScore(score).has_value(); });
    if (any) axes.push_back(&axis);
  }
  static constexpr cap::Dimension kOrder[] = {cap::Dimension::kAccuracy, cap::Dimension::kPerformance, cap::Dimension::kCost,
                                              cap::Dimension::kOther};
  std::ranges::stable_sort(axes, {}, [](const cap::AxisScores* axis) {
    return std::ranges::find(kOrder, cap::AxisOf(axis->axis).dimension) - std::begin(kOrder);
  });
  return axes;
}

Chart RobustRadar(const RunSummary& summary, SvgMode mode) {
  const auto axes = ScoredAxes(summary);
  if (axes.size() < 3) return {};
  RadarPlot plot{{"cap-radar-robust", "CAP radar against limits",
                  fmt::format("robust scores at concurrency {}; 100 is the limit itself", summary.cap_concurrency),
                  "Scores that do not depend on which other systems are in view."},
                 {},
                 {}};
  for (const auto* axis : axes) plot.axes.emplace_back(cap::AxisOf(axis->axis).name);
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    RadarSeries series{i, summary.systems[i].name, {}};
    for (const auto* axis : axes)
      series.scores.push_back(i < axis->robust_score.size() ? DrawableScore(axis->robust_score[i]) : std::nullopt);
    plot.series.push_back(std::move(series));
  }
  return {"cap-radar-robust", DrawRadar(plot, mode), ReadRobustRadar(summary), 0, TableOf(plot)};
}

bool HasScore(const cap::CapScores& scores) { return scores.accuracy || scores.performance || scores.cost; }

// An axis of a scatter plot: fractions in percent on a linear scale, the rest on a logarithmic one.
PlotScale ScaleOf(const cap::Axis& axis) {
  if (axis.unit.empty()) return {fmt::format("{}, %", axis.name), false, axis.higher_is_better, 0.01};
  const bool milliseconds = axis.unit == "s";
  return {fmt::format("{}, {} (log scale)", axis.name, milliseconds ? "ms" : axis.unit), true, axis.higher_is_better,
          milliseconds ? 1e-3 : 1};
}

struct Range {
  std::optional<double> low, high;
};

// The noise that the summary knows: one standard error of the accuracy, lowest to highest repetition of a rate.
Range NoiseOf(cap::AxisId axis, const CellSummary& cell) {
  using cap::AxisId;
  if (axis == AxisId::kAccuracy && cell.accuracy && cell.accuracy_stderr)
    return {*cell.accuracy - *cell.accuracy_stderr, *cell.accuracy + *cell.accuracy_stderr};
  const std::optional<stats::Spread>* spread = axis == AxisId::kOutputTokensPerS ? &cell.output_tokens_per_s
                                               : axis == AxisId::kRequestsPerS   ? &cell.requests_per_s
                                               : axis == AxisId::kGoodput        ? &cell.goodput_requests_per_s
                                                                                 : nullptr;
  if (spread == nullptr || !*spread) return {};
  return {(*spread)->min, (*spread)->max};
}

// Null when the axis does not know the value or cannot show it.
std::optional<double> ValueOn(const cap::Axis& axis, const PlotScale& scale, const RunSummary& summary, size_t system,
                              const CellSummary& cell) {
  const auto value = axis.value(summary.host, summary.systems[system], cell);
  if (!value || !Drawable(*value) || (scale.logarithmic && *value < 1e-12)) return std::nullopt;
  return value;
}

void MarkFront(ParetoPlot& plot) {
  std::vector<cap::ParetoPoint> points;
  for (const auto& mark : plot.marks) {
    if (mark.valid) points.push_back({plot.x.higher_is_better ? -mark.x : mark.x, plot.y.higher_is_better ? -mark.y : mark.y});
  }
  const std::vector<bool> front = cap::ParetoFront(points);
  size_t next = 0;
  for (auto& mark : plot.marks) mark.on_front = mark.valid && front[next++];
}

Chart Pareto(const RunSummary& summary, SvgMode mode, const char* name, const char* title, cap::AxisId x, cap::AxisId y) {
  const cap::Axis& x_axis = cap::AxisOf(x);
  const cap::Axis& y_axis = cap::AxisOf(y);
  ParetoPlot plot{{name, title, "filled: on the front of these two; whiskers: noise, where known", ""},
                  ScaleOf(x_axis),
                  ScaleOf(y_axis),
                  {}};
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const auto* cell = FindCell(summary.systems[i], summary.cap_concurrency);
    if (cell == nullptr) continue;
    const auto x_value = ValueOn(x_axis, plot.x, summary, i, *cell);
    const auto y_value = ValueOn(y_axis, plot.y, summary, i, *cell);
    if (!x_value || !y_value) continue;
    Range x_noise = NoiseOf(x, *cell);
    Range y_noise = NoiseOf(y, *cell);
    for (Range* noise : {&x_noise, &y_noise}) {
      if (!Drawable(noise->low.value_or(0)) || !Drawable(noise->high.value_or(0))) *noise = {};
    }
    plot.marks.push_back({i, summary.systems[i].name, *x_value, *y_value, x_noise.low, x_noise.high, y_noise.low, y_noise.high,
                          true, IsValid(*cell)});
  }
  if (plot.marks.size() < 2) return {};
  MarkFront(plot);
  plot.frame.description = ReadPareto(plot);
  return {name, DrawPareto(plot, mode), plot.frame.description, 0, TableOf(plot)};
}

// Sums of a phase that can stand on a roofline.
std::optional<RooflineMark> MarkOf(const metrics::PhaseUtilization& phase) {
  if (!phase.bytes || !phase.flops || !phase.latency_s) return std::nullopt;
  RooflineMark mark;
  mark.flops = *phase.flops;
  mark.bytes = *phase.bytes;
  mark.latency_s = *phase.latency_s;
  for (const double value : {mark.flops, mark.bytes, mark.latency_s, mark.flops / mark.bytes, mark.flops / mark.latency_s}) {
    if (!(value > 1e-9) || !(value < 1e30)) return std::nullopt;
  }
  return mark;
}

bool Usable(const std::optional<double>& rate) { return rate && *rate > 1 && *rate < 1e30; }

// The ceilings that the systems' S-MFU refer to, each once.
std::vector<Roof> RoofsOf(const RunSummary& summary) {
  std::vector<Roof> roofs;
  for (const auto& system : summary.systems) {
    if (!Usable(system.peak_flops_per_s)) continue;
    const bool known =
        std::ranges::any_of(roofs, [&](const Roof& roof) { return roof.flops_per_s == *system.peak_flops_per_s; });
    if (!known) roofs.push_back({system.peak_flops_kernel, *system.peak_flops_per_s});
  }
  return roofs;
}

}  // namespace

std::vector<Chart> RadarCharts(const RunSummary& summary, SvgMode mode) {
  std::vector<Chart> charts;
  if (std::ranges::any_of(summary.cap, HasScore)) charts.push_back(PaperRadar(summary, mode));
  charts.push_back(RobustRadar(summary, mode));
  std::erase_if(charts, [](const Chart& chart) { return chart.svg.empty(); });
  return charts;
}

std::vector<Chart> ParetoCharts(const RunSummary& summary, SvgMode mode) {
  const cap::AxisId cost = summary.cap_cost_axis;
  const cap::AxisId performance = summary.cap_performance_axis;
  std::vector<Chart> charts = {
      Pareto(summary, mode, "pareto-cost-accuracy", "Accuracy against cost", cost, cap::AxisId::kAccuracy),
      Pareto(summary, mode, "pareto-performance-accuracy", "Accuracy against performance", performance, cap::AxisId::kAccuracy),
      Pareto(summary, mode, "pareto-cost-performance", "Performance against cost", cost, performance)};
  std::erase_if(charts, [](const Chart& chart) { return chart.svg.empty(); });
  return charts;
}

std::vector<Chart> RooflineCharts(const RunSummary& summary, SvgMode mode) {
  if (!Usable(summary.host.peak_bandwidth_bytes_per_s)) return {};
  RooflinePlot plot{
      {"roofline", "Roofline",
       fmt::format("filled: decode, hollow: prefill, at concurrency {}; lines: ceilings", summary.cap_concurrency), ""},
      *summary.host.peak_bandwidth_bytes_per_s,
      RoofsOf(summary),
      {}};
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const auto* cell = FindCell(summary.systems[i], summary.cap_concurrency);
    if (cell == nullptr) continue;
    for (const bool prefill : {false, true}) {
      auto mark = MarkOf(prefill ? cell->utilization.prefill : cell->utilization.decode);
      if (!mark) continue;
      mark->system = i;
      mark->name = summary.systems[i].name;
      mark->prefill = prefill;
      mark->valid = IsValid(*cell);
      plot.marks.push_back(*mark);
    }
  }
  plot.frame.description = ReadRoofline(plot);
  std::vector<Chart> charts;
  if (!plot.marks.empty()) charts.push_back({"roofline", DrawRoofline(plot, mode), plot.frame.description, 0, TableOf(plot)});
  return charts;
}

}  // namespace moecap::report
