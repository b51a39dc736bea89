#include "report/experiment_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "report/format.h"
#include "report/readings.h"

namespace moecap::report {
namespace {

using cap::CellSummary;
using cap::FigureId;
using cap::SystemSummary;

constexpr size_t kMostSeries = 6;  // as many as there are colours
constexpr double kLargest = 1e15;  // that a plot draws

bool Drawable(const std::optional<double>& value) { return value && std::isfinite(*value) && std::abs(*value) < kLargest; }

using PointGetter = std::function<std::optional<PlotPoint>(const CellSummary&)>;

PointGetter FigurePoint(FigureId id, double unit, bool whiskers = false) {
  return [=](const CellSummary& cell) -> std::optional<PlotPoint> {
    const auto value = cell.figures[id];
    if (!Drawable(value)) return std::nullopt;
    PlotPoint point{.y = *value / unit};
    if (const auto range = whiskers ? RangeOver(cell, id) : std::nullopt) {
      point.low = range->low / unit;
      point.high = range->high / unit;
    }
    return point;
  };
}

PointGetter PercentilePoint(const char* name, double q) {
  return [=](const CellSummary& cell) -> std::optional<PlotPoint> {
    const auto* estimate = FindQuantile(FindLatency(cell.latencies, name), q);
    if (estimate == nullptr || !estimate->supported || !Drawable(estimate->value)) return std::nullopt;
    PlotPoint point{.y = estimate->value / kMilli};
    if (Drawable(estimate->low) && Drawable(estimate->high)) {
      point.low = *estimate->low / kMilli;
      point.high = *estimate->high / kMilli;
    }
    return point;
  };
}

// A curve a system over its levels; those of a kind that a number tells.
std::vector<PlotSeries> Curves(std::span<const ShownCell> cells, const PointGetter& get) {
  std::vector<PlotSeries> all;
  for (const ShownCell& shown : cells) {
    if (shown.cell->level.kind == record::LoadKind::kReplay || !(shown.cell->level.value > 0)) continue;
    auto point = get(*shown.cell);
    if (!point) continue;
    if (all.empty() || all.back().system != shown.marker) all.push_back({shown.marker, shown.system->name, {}, false, ""});
    point->x = shown.cell->level.value;
    point->valid = shown.cell->IsValid();
    all.back().points.push_back(*point);
  }
  return all;
}

std::string LevelAxis(std::span<const ShownCell> cells) {
  const record::LoadKind kind = cells.front().cell->level.kind;
  if (kind == record::LoadKind::kRate) return "requests/s offered (log scale)";
  return kind == record::LoadKind::kUsers ? "users (log scale)" : "clients (log scale)";
}

Figure Lines(LinePlot plot, const std::string& what, const std::string& unit) {
  plot.frame.description = ReadLines(plot, what, unit);
  std::string caption = plot.frame.description;
  return {std::move(plot), std::move(caption), PlotWidth::kHalf};
}

// Median and p99 of a latency over the level.
Figure LatencyByLevel(std::span<const ShownCell> cells, const char* name, const char* label, const char* id,
                      const std::optional<double>& objective) {
  LinePlot plot;
  plot.frame = {id, fmt::format("{} against the load", label), "ms; solid: median, dashed: p99 where the sample supports it",
                ""};
  plot.x_label = LevelAxis(cells);
  plot.series = Curves(cells, PercentilePoint(name, 0.5));
  for (PlotSeries& series : Curves(cells, PercentilePoint(name, 0.99))) {
    series.dashed = true;
    series.long_name = series.name + ", p99";
    series.name.clear();
    plot.series.push_back(std::move(series));
  }
  if (objective) plot.references.push_back({*objective / kMilli, "objective"});
  return Lines(std::move(plot), std::string("the median ") + label, "ms");
}

// The larger both, the better: whether no other valid mark is better in one and not worse in the other.
void MarkFront(std::vector<ParetoMark>& marks) {
  for (ParetoMark& mark : marks) {
    mark.on_front = mark.valid && std::ranges::none_of(marks, [&](const ParetoMark& other) {
                      return other.valid && other.x >= mark.x && other.y >= mark.y && (other.x > mark.x || other.y > mark.y);
                    });
  }
}

Figure ThroughputAgainstSpeed(std::span<const ShownCell> cells) {
  ParetoPlot plot;
  plot.frame = {"throughput-speed", "Throughput and speed for each user", "filled: no other load is better in both", ""};
  plot.x = {"output speed of one request, tokens/s (1 / median TPOT)", false, true, 1};
  plot.y = {"output tokens/s of the server", false, true, 1};
  for (const ShownCell& shown : cells) {
    const auto* tpot = FindQuantile(FindLatency(shown.cell->latencies, "tpot_s"), 0.5);
    const auto rate = shown.cell->figures[FigureId::kOutputRate];
    if (tpot == nullptr || !tpot->supported || !(tpot->value > 1e-12) || !Drawable(rate)) continue;
    ParetoMark mark;
    mark.system = shown.marker;
    mark.name = shown.group.empty() ? shown.key : fmt::format("{} {:g}", shown.group, shown.cell->level.value);
    mark.x = 1 / tpot->value;
    mark.y = *rate;
    mark.valid = shown.cell->IsValid();
    plot.marks.push_back(std::move(mark));
  }
  if (plot.marks.size() < 2) plot.marks.clear();
  MarkFront(plot.marks);
  std::vector<std::string> front;
  for (const ParetoMark& mark : plot.marks) {
    if (mark.on_front) front.push_back(mark.name);
  }
  if (!front.empty()) plot.frame.description = fmt::format("No load is better in both than {}.", JoinWords(front));
  std::string caption = plot.frame.description;
  return {std::move(plot), std::move(caption), PlotWidth::kHalf};
}

Figure Distribution(std::span<const ShownCell> cells, const char* name, const char* label, const char* id) {
  PercentilePlot plot;
  plot.frame = {id, fmt::format("{} by percentile", label),
                "whiskers: bounds at 99 %; percentiles with too few samples are left out",
                fmt::format("Percentiles of {}.", label)};
  plot.y_label = fmt::format("{}, ms", label);
  for (const ShownCell& shown : cells) {
    const auto* latency = FindLatency(shown.cell->latencies, name);
    if (latency == nullptr) continue;
    const size_t colour = plot.series.size();
    PercentileSeries series{colour, shown.Name() + (shown.cell->IsValid() ? "" : " !"), {}};
    for (const auto& estimate : latency->quantiles) {
      if (!Drawable(estimate.value) || !(estimate.value > 0)) continue;
      report::PercentilePoint point;
      point.q = estimate.q;
      point.value = estimate.value / kMilli;
      point.supported = estimate.supported;
      if (estimate.low) point.low = *estimate.low / kMilli;
      if (estimate.high) point.high = *estimate.high / kMilli;
      series.points.push_back(point);
    }
    plot.series.push_back(std::move(series));
  }
  return {std::move(plot), "", PlotWidth::kHalf};
}

// The highest level of each system, or every level of the only one; at most as many as there are colours.
std::vector<ShownCell> FewCells(std::span<const ShownCell> cells) {
  std::vector<ShownCell> few;
  const bool several = !cells.empty() && !cells.front().group.empty();
  for (const ShownCell& shown : cells) {
    if (several && !few.empty() && few.back().marker == shown.marker) {
      few.back() = shown;
    } else {
      few.push_back(shown);
    }
  }
  if (few.size() > kMostSeries) few.resize(kMostSeries);
  return few;
}

bool HasSweep(std::span<const ShownCell> cells) {
  return std::ranges::adjacent_find(cells, {}, &ShownCell::system) != cells.end();
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

bool IsCeiling(const std::optional<double>& rate) { return rate && *rate > 1 && *rate < 1e30; }

void AddRoof(const cap::MachineSummary& machine, RooflinePlot& plot) {
  if (!IsCeiling(machine.peak_flops_per_s)) return;
  const bool known =
      std::ranges::any_of(plot.roofs, [&](const Roof& roof) { return roof.flops_per_s == *machine.peak_flops_per_s; });
  if (!known) plot.roofs.push_back({machine.peak_flops_kernel, *machine.peak_flops_per_s});
}

Figure BandwidthUse(std::span<const ShownCell> cells) {
  LinePlot plot;
  plot.frame = {"bandwidth-use-by-level", "Memory bandwidth in decode",
                "% of peak; solid: S-MBU, dashed: MBU, which counts every expert", ""};
  plot.x_label = LevelAxis(cells);
  plot.series = Curves(cells, FigurePoint(FigureId::kDecodeSMbu, kPercent));
  for (PlotSeries& series : plot.series) series.long_name = series.name + ", S-MBU";
  for (PlotSeries& series : Curves(cells, FigurePoint(FigureId::kDecodeMbu, kPercent))) {
    // A dense model has one curve: S-MBU and MBU are the same.
    const auto of_system = std::ranges::find(cells, series.system, &ShownCell::marker);
    if (of_system->system->moe_layers.value_or(0) == 0) continue;
    series.dashed = true;
    series.long_name = series.name + ", MBU";
    series.name.clear();
    plot.series.push_back(std::move(series));
  }
  return Lines(std::move(plot), "S-MBU", "%");
}

Figure DistinctExperts(std::span<const ShownCell> cells) {
  LinePlot plot;
  plot.frame = {"distinct-experts-by-level", "Distinct experts of a decode pass", "mean over the MoE layers", ""};
  plot.x_label = LevelAxis(cells);
  plot.series = Curves(cells, FigurePoint(FigureId::kDistinctExperts, 1));
  // Reference lines only where they hold for every curve.
  const SystemSummary* first = nullptr;
  bool same = !plot.series.empty();
  for (const PlotSeries& series : plot.series) {
    const SystemSummary& system = *std::ranges::find(cells, series.system, &ShownCell::marker)->system;
    if (first == nullptr) first = &system;
    same = same && system.experts == first->experts && system.top_k == first->top_k;
  }
  if (same && first->experts && first->top_k) {
    plot.references = {{static_cast<double>(*first->experts), fmt::format("all {} experts", *first->experts)},
                       {static_cast<double>(*first->top_k), fmt::format("top-{}: one token", *first->top_k)}};
  }
  return Lines(std::move(plot), "distinct experts", "");
}

}  // namespace

std::vector<Figure> DistributionFigures(std::span<const ShownCell> cells) {
  const std::vector<ShownCell> few = FewCells(cells);
  return {Distribution(few, "ttft_s", "TTFT", "ttft"), Distribution(few, "itl_s", "ITL", "itl")};
}

std::vector<Figure> SweepFigures(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells) {
  if (!HasSweep(cells)) return {};
  LinePlot throughput;
  throughput.frame = {"throughput-by-level", "Output throughput", "tokens per second; whiskers: lowest to highest repetition",
                      ""};
  throughput.x_label = LevelAxis(cells);
  throughput.series = Curves(cells, FigurePoint(FigureId::kOutputRate, 1, true));
  LinePlot per_token;
  per_token.frame = {"time-per-token-by-level", "Time per output token",
                     "ms, waiting included; whiskers: lowest to highest repetition", ""};
  per_token.x_label = LevelAxis(cells);
  per_token.series = Curves(cells, FigurePoint(FigureId::kTimePerToken, kMilli, true));
  return {Lines(std::move(throughput), "output", "tokens/s"), Lines(std::move(per_token), "time per output token", "ms"),
          LatencyByLevel(cells, "ttft_s", "TTFT", "ttft-by-level", summary.objectives.ttft_s),
          LatencyByLevel(cells, "tpot_s", "TPOT", "tpot-by-level", summary.objectives.tpot_s), ThroughputAgainstSpeed(cells)};
}

std::vector<Figure> ExpertFigures(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells) {
  std::vector<Figure> figures;
  if (HasSweep(cells)) figures = {BandwidthUse(cells), DistinctExperts(cells)};
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    if (!summary.systems[i].expert_share.empty())
      figures.push_back(ExpertShareFigure(summary.systems[i].name, summary.systems[i].expert_share, i));
  }
  return figures;
}

Figure ExpertShareFigure(const std::string& name, const std::vector<std::vector<double>>& share, size_t index) {
  HeatMap map{{fmt::format("expert-share-{}", index), name + ": tokens routed to each expert",
               "relative to a uniform share of the layer", ""},
              "layer",
              "expert",
              share};
  for (auto& layer : map.ratios) {
    for (double& ratio : layer) ratio *= static_cast<double>(layer.size());
  }
  map.frame.description = ReadHeatMap(map);
  std::string caption = map.frame.description;
  return {std::move(map), std::move(caption), PlotWidth::kFull};
}

std::vector<Figure> RooflineFigures(std::span<const ShownCell> cells, bool compared) {
  RooflinePlot plot;
  plot.frame = {
      "roofline", "Roofline",
      fmt::format("filled: decode, hollow: prefill{}; lines: ceilings", compared ? "" : ", each system at its highest level"),
      ""};
  std::vector<ShownCell> highest(cells.begin(), cells.end());
  for (size_t i = 0; i < highest.size(); ++i) {
    const ShownCell& shown = highest[i];
    if (i + 1 < highest.size() && highest[i + 1].marker == shown.marker) continue;
    const cap::MachineSummary& machine = shown.system->machine;
    if (!IsCeiling(machine.peak_bandwidth_bytes_per_s)) continue;
    if (plot.marks.empty()) plot.bandwidth_bytes_per_s = *machine.peak_bandwidth_bytes_per_s;
    if (*machine.peak_bandwidth_bytes_per_s != plot.bandwidth_bytes_per_s) continue;
    for (const bool prefill : {false, true}) {
      auto mark = MarkOf(prefill ? shown.cell->utilization.prefill : shown.cell->utilization.decode);
      if (!mark) continue;
      mark->system = shown.marker;
      mark->name = compared ? shown.key : shown.system->name;
      mark->prefill = prefill;
      mark->valid = shown.cell->IsValid();
      plot.marks.push_back(*mark);
      AddRoof(machine, plot);
    }
  }
  if (plot.marks.empty()) return {};
  plot.frame.description = ReadRoofline(plot);
  std::string caption = plot.frame.description;
  return {{std::move(plot), std::move(caption), PlotWidth::kHalf}};
}

Figure InFlightFigure(const ShownCell& shown, const cap::MeasurementSummary& measurement, size_t index) {
  const metrics::LoadFigures& load = measurement.load;
  StepPlot plot;
  plot.frame = {fmt::format("in-flight-{}", index), fmt::format("In flight: {}", shown.Name()),
                load.steady ? "requests over time; shaded: the busy part" : "requests over time", ""};
  plot.x_label = "time, s";
  plot.y_label = "requests in flight";
  StepSeries series{shown.marker, "requests in flight", {}, {}};
  for (const metrics::ConcurrencyStep& step : load.concurrency_curve) {
    series.at.push_back(step.at_s);
    series.value.push_back(static_cast<double>(step.requests));
  }
  plot.series.push_back(std::move(series));
  if (load.steady) plot.bands.push_back({load.steady->window.from_s, load.steady->window.to_s, "busy part"});
  plot.frame.description =
      fmt::format("{} in flight on average, {} at the peak.", NumberText(load.concurrency.mean), load.concurrency.peak);
  std::string caption = plot.frame.description;
  return {std::move(plot), std::move(caption), PlotWidth::kHalf};
}

Figure SearchFigure(const cap::SearchSummary& search, size_t system) {
  LinePlot plot;
  plot.frame = {fmt::format("search-{}", system), "Share that met the objectives",
                fmt::format("% of the offered requests; whiskers: interval at {:g} %", 100 * search.confidence),
                "The share at each load that the search tried."};
  plot.x_label = search.what + " (log scale)";
  PlotSeries series{system, "met", {}, false, ""};
  for (const cap::SearchSummary::Probe& probe : search.probes) {
    if (probe.offered <= 0 || !(probe.level > 0)) continue;
    PlotPoint point{.x = probe.level, .y = 100.0 * static_cast<double>(probe.met) / static_cast<double>(probe.offered)};
    point.low = probe.share_low / kPercent;
    point.high = probe.share_high / kPercent;
    series.points.push_back(point);
  }
  std::ranges::stable_sort(series.points, {}, &PlotPoint::x);
  if (!series.points.empty()) plot.series.push_back(std::move(series));
  plot.references = {{search.target_share / kPercent, "target"}};
  return {std::move(plot), "", PlotWidth::kHalf};
}

}  // namespace moecap::report
