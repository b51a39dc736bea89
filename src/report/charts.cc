#include "report/charts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/figures.h"
#include "report/plots.h"
#include "report/words.h"

namespace moecap::report {
namespace {

// A point of a curve, or nothing when the figure is not known.
using PointGetter = std::function<std::optional<PlotPoint>(const SystemSummary&, const CellSummary&)>;

std::vector<PlotSeries> Curves(const RunSummary& summary, const PointGetter& get) {
  std::vector<PlotSeries> all;
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    PlotSeries series{i, summary.systems[i].name, {}, false, ""};
    for (const auto& cell : summary.systems[i].cells) {
      if (cell.concurrency <= 0) continue;
      if (auto point = get(summary.systems[i], cell); point && Drawable(point->y)) {
        if (!Drawable(point->low.value_or(0)) || !Drawable(point->high.value_or(0))) point->low = point->high = std::nullopt;
        point->x = cell.concurrency;
        point->valid = IsValid(cell);
        series.points.push_back(*point);
      }
    }
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  return all;
}

PointGetter Plain(const Getter& get, double scale) {
  return [=](const SystemSummary& system, const CellSummary& cell) -> std::optional<PlotPoint> {
    const auto value = get(system, cell);
    return value ? std::optional(PlotPoint{.y = *value * scale}) : std::nullopt;
  };
}

Chart Lines(const std::string& name, const LinePlot& plot, SvgMode mode, std::string reading) {
  return {name, DrawLines(plot, mode), std::move(reading), 0, TableOf(plot)};
}

Chart Bars(const BarPlot& plot, SvgMode mode, std::string reading) {
  return {plot.frame.id, DrawBars(plot, mode), std::move(reading), 0, TableOf(plot)};
}

std::vector<Chart> WithoutEmpty(std::vector<Chart> charts) {
  std::erase_if(charts, [](const Chart& chart) { return chart.svg.empty(); });
  return charts;
}

constexpr const char* kConcurrencyAxis = "concurrent requests (log scale)";

Chart Throughput(const RunSummary& summary, SvgMode mode) {
  const std::string name = "throughput-by-concurrency";
  LinePlot plot{
      {name, "Output throughput", "tokens per second; whiskers: lowest to highest repetition", ReadThroughput(summary)},
      kConcurrencyAxis,
      Curves(summary,
             [](const SystemSummary&, const CellSummary& cell) -> std::optional<PlotPoint> {
               const auto& spread = cell.output_tokens_per_s;
               if (!spread) return std::nullopt;
               return PlotPoint{.y = spread->mean, .low = spread->min, .high = spread->max};
             }),
      {}};
  return Lines(name, plot, mode, plot.frame.description);
}

Chart TpotCurve(const RunSummary& summary, SvgMode mode) {
  const std::string name = "tpot-by-concurrency";
  LinePlot plot{{name, "Time per output token", "mean TPOT, milliseconds", ReadTpot(summary)},
                kConcurrencyAxis,
                Curves(summary, Plain(
                                    [](const SystemSummary&, const CellSummary& cell) {
                                      return cell.tpot_s ? std::optional(cell.tpot_s->mean) : std::nullopt;
                                    },
                                    1e3)),
                {}};
  return Lines(name, plot, mode, plot.frame.description);
}

Chart BandwidthUse(const RunSummary& summary, SvgMode mode) {
  const std::string name = "bandwidth-use-by-concurrency";
  LinePlot plot{
      {name, "Memory bandwidth in decode", "% of peak; solid: S-MBU, dashed: MBU, which counts every expert",
       ReadUtilization(summary)},
      kConcurrencyAxis,
      Curves(summary, Plain([](const SystemSummary&, const CellSummary& cell) { return cell.utilization.decode.s_mbu; }, 100)),
      {}};
  auto vanilla =
      Curves(summary, Plain([](const SystemSummary&, const CellSummary& cell) { return cell.utilization.decode.mbu; }, 100));
  for (auto& series : plot.series) series.long_name = series.name + ", S-MBU";
  for (auto& series : vanilla) {
    // A dense model has one curve: S-MBU and MBU are the same.
    if (summary.systems[series.system].moe_layers == 0) continue;
    series.dashed = true;
    series.long_name = series.name + ", MBU";
    series.name.clear();
    plot.series.push_back(std::move(series));
  }
  return Lines(name, plot, mode, plot.frame.description);
}

Chart DistinctExperts(const RunSummary& summary, SvgMode mode) {
  const std::string name = "distinct-experts-by-concurrency";
  LinePlot plot{
      {name, "Distinct experts of a decode pass", "mean over the MoE layers", ReadDistinctExperts(summary)},
      kConcurrencyAxis,
      Curves(summary, Plain([](const SystemSummary&, const CellSummary& cell) { return MeanDistinctExperts(cell); }, 1)),
      {}};
  // Reference lines only where they hold for every curve.
  const SystemSummary* first = plot.series.empty() ? nullptr : &summary.systems[plot.series.front().system];
  const bool same = std::ranges::all_of(plot.series, [&](const PlotSeries& series) {
    const auto& system = summary.systems[series.system];
    return system.experts == first->experts && system.top_k == first->top_k;
  });
  if (first != nullptr && same) {
    plot.references = {{static_cast<double>(first->experts), fmt::format("all {} experts", first->experts)},
                       {static_cast<double>(first->top_k), fmt::format("top-{}: one token", first->top_k)}};
  }
  return Lines(name, plot, mode, plot.frame.description);
}

// One bar a system at the concurrency of the CAP scores.
std::vector<Bar> SystemBars(const RunSummary& summary, const std::function<std::optional<Bar>(const CellSummary&)>& make) {
  std::vector<Bar> bars;
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const auto* cell = FindCell(summary.systems[i], summary.cap_concurrency);
    if (cell == nullptr) continue;
    if (auto bar = make(*cell); bar && Drawable(bar->value)) {
      if (!Drawable(bar->high.value_or(0))) bar->low = bar->high = std::nullopt;
      bar->system = i;
      bar->name = summary.systems[i].name;
      bar->valid = IsValid(*cell);
      bars.push_back(std::move(*bar));
    }
  }
  return bars;
}

Chart AccuracyBars(const RunSummary& summary, SvgMode mode) {
  BarPlot plot{
      {"accuracy", "Accuracy", fmt::format("% correct at concurrency {}; whiskers ± 1 standard error", summary.cap_concurrency),
       ReadAccuracy(summary)},
      SystemBars(summary,
                 [](const CellSummary& cell) -> std::optional<Bar> {
                   if (!cell.accuracy) return std::nullopt;
                   Bar bar{.value = *cell.accuracy * 100, .text = FormatFixed(*cell.accuracy * 100, 1)};
                   if (cell.accuracy_stderr) {
                     const double error = *cell.accuracy_stderr * 100;
                     bar.low = bar.value - error;
                     bar.high = bar.value + error;
                     bar.text += " ± " + FormatFixed(error, 1);
                   }
                   return bar;
                 }),
      100};
  return Bars(plot, mode, ReadAccuracy(summary));
}

Chart CostBars(const RunSummary& summary, SvgMode mode) {
  BarPlot plot{{"cost", "Cost", fmt::format("USD per 1M output tokens at concurrency {}", summary.cap_concurrency), ""},
               SystemBars(summary,
                          [](const CellSummary& cell) -> std::optional<Bar> {
                            if (!cell.usd_per_million_output_tokens) return std::nullopt;
                            const double usd = *cell.usd_per_million_output_tokens;
                            return Bar{.value = usd, .text = (cell.energy_is_measured ? "" : "~") + FormatSignificant(usd, 3)};
                          }),
               {}};
  return Bars(plot, mode, ReadCostBars(summary));
}

Chart TpotBars(const RunSummary& summary, SvgMode mode) {
  BarPlot plot{
      {"tpot", "Performance", fmt::format("mean TPOT at concurrency {}, shorter is better", summary.cap_concurrency), ""},
      SystemBars(summary,
                 [](const CellSummary& cell) -> std::optional<Bar> {
                   if (!cell.tpot_s) return std::nullopt;
                   return Bar{.value = cell.tpot_s->mean, .text = FormatSeconds(cell.tpot_s->mean)};
                 }),
      {}};
  return Bars(plot, mode, ReadTpotBars(summary));
}

}  // namespace

std::vector<Chart> BarCharts(const RunSummary& summary, SvgMode mode) {
  return WithoutEmpty({AccuracyBars(summary, mode), CostBars(summary, mode), TpotBars(summary, mode)});
}

std::vector<Chart> CurveCharts(const RunSummary& summary, SvgMode mode) {
  if (std::ranges::all_of(summary.systems, [](const SystemSummary& system) { return system.cells.size() < 2; })) return {};
  return WithoutEmpty(
      {Throughput(summary, mode), TpotCurve(summary, mode), BandwidthUse(summary, mode), DistinctExperts(summary, mode)});
}

std::vector<Chart> ExpertCharts(const RunSummary& summary, SvgMode mode) {
  std::vector<Chart> charts;
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const auto& system = summary.systems[i];
    if (system.expert_share.empty()) continue;
    const std::string name = fmt::format("expert-share-{}", i);
    HeatMap map{{name, system.name + ": tokens routed to each expert", "relative to a uniform share of the layer",
                 ReadExpertShare(system)},
                "layer",
                "expert",
                system.expert_share};
    for (auto& layer : map.ratios) {
      for (double& share : layer) share *= static_cast<double>(layer.size());
    }
    Chart chart{name, DrawHeatMap(map, mode), map.frame.description, i, TableOf(map)};
    if (!chart.svg.empty()) charts.push_back(std::move(chart));
  }
  return charts;
}

std::vector<Chart> AllCharts(const RunSummary& summary, SvgMode mode) {
  std::vector<Chart> charts;
  for (auto& group : {RadarCharts(summary, mode), BarCharts(summary, mode), ParetoCharts(summary, mode),
                      RooflineCharts(summary, mode), CurveCharts(summary, mode), ExpertCharts(summary, mode)}) {
    charts.insert(charts.end(), group.begin(), group.end());
  }
  return charts;
}

}  // namespace moecap::report
