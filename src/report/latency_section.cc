#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "report/experiment_plots.h"
#include "report/format.h"
#include "report/load_sections.h"

namespace moecap::report {
namespace {

using cap::FigureId;
using cap::MeasurementSummary;
using metrics::LatencyFigure;

constexpr size_t kMostLatencyTables = 12;

// How the distributions of a cell are called, and in which unit they are printed.
struct LatencyName {
  std::string_view name;
  const char* label;
  const char* unit;
  double size;
  std::optional<FigureId> mean = std::nullopt;  // of those that have a place in the tables with bounds; marks an estimate
};
constexpr LatencyName kLatencies[] = {{"ttft_s", "TTFT", "ms", kMilli, FigureId::kTtftMean},
                                      {"ttfo_s", "TTFO", "ms", kMilli, FigureId::kTtftMean},
                                      {"tpot_s", "TPOT", "ms", kMilli, FigureId::kTpotMean},
                                      {"itl_s", "ITL", "ms", kMilli, FigureId::kItlMean},
                                      {"e2e_s", "E2E", "ms", kMilli, FigureId::kE2eMean},
                                      {"user_time_per_token_s", "time per output token", "ms", kMilli},
                                      {"icl_s", "ICL", "ms", kMilli},
                                      {"normalised_s", "E2E per token", "ms", kMilli},
                                      {"request_output_tokens_per_s", "request speed", "tokens/s", 1},
                                      {"user_ttft_s", "TTFT, intended send", "ms", kMilli},
                                      {"user_e2e_s", "E2E, intended send", "ms", kMilli},
                                      {"send_lag_s", "send lag", "ms", kMilli},
                                      {"connect_s", "connect", "ms", kMilli}};

// A line a cell and figure: what a reader of a terminal looks for. The other percentiles are in the parts.
Table PercentileTable(std::span<const ShownCell> cells) {
  Table table{.name = "percentiles", .title = "Percentiles", .group_header = "cell"};
  table.columns = {{.header = "figure", .kind = ColumnKind::kKey}, {"p50", "", "ms"}, {"p90", "", "ms"}, {"p99", "", "ms"}};
  bool unsupported = false;
  for (const ShownCell& shown : cells) {
    for (const LatencyName& name : kLatencies) {
      const LatencyFigure* figure = name.mean ? FindLatency(shown.cell->latencies, name.name) : nullptr;
      if (figure == nullptr) continue;
      Row row{name.label};
      for (const double q : {0.5, 0.9, 0.99}) {
        const auto* estimate = FindQuantile(figure, q);
        Cell cell;
        if (estimate != nullptr) cell.text = BoundedText(*estimate, name.size);
        cell.estimate = estimate != nullptr && estimate->supported && shown.cell->estimates.Has(*name.mean);
        unsupported = unsupported || (estimate != nullptr && !estimate->supported);
        row.cells.push_back(std::move(cell));
      }
      row.group = shown.Name();
      row.marker = shown.marker;
      row.invalid = !shown.cell->IsValid();
      table.rows.push_back(std::move(row));
    }
  }
  table.notes = {"In parentheses: bounds of the percentile, at 99 % each."};
  if (unsupported) table.notes.emplace_back("n/a (N): this percentile needs N requests.");
  return table;
}

// Statistics down, a figure with its bounds in three columns across.
Table BoundsTable(const cap::CellSummary& cell) {
  Table table{.name = "latency", .title = "Percentiles with bounds at 99 % each"};
  table.columns = {{.header = "statistic", .kind = ColumnKind::kKey}};
  const std::vector<std::string> statistics = {"samples", "mean", "sd", "min"};
  for (const std::string& name : statistics) table.rows.push_back({name});
  const auto add = [&table](size_t row, std::vector<Cell> cells) {
    auto& to = table.rows[row].cells;
    to.insert(to.end(), cells.begin(), cells.end());
  };
  for (const LatencyName& name : kLatencies) {
    const LatencyFigure* latency = name.mean ? FindLatency(cell.latencies, name.name) : nullptr;
    if (latency == nullptr) continue;
    for (const char* header : {"value", "low", "high"}) table.columns.push_back({header, name.label, name.unit});
    const auto& d = latency->distribution;
    for (size_t i = table.rows.size(); i < statistics.size() + latency->quantiles.size(); ++i)
      table.rows.push_back({QuantileName(latency->quantiles[i - statistics.size()].q)});
    add(0, {std::to_string(d.count), "", ""});
    add(1, {NumberText(d.mean, name.size), "", ""});
    add(2, {NumberText(d.stddev, name.size), "", ""});
    add(3, {NumberText(d.min, name.size), "", ""});
    for (size_t i = 0; i < latency->quantiles.size(); ++i) {
      const auto& estimate = latency->quantiles[i];
      add(statistics.size() + i,
          {PercentileText(estimate, name.size), NumberText(estimate.low, name.size), NumberText(estimate.high, name.size)});
    }
  }
  if (table.columns.size() == 1) table.rows.clear();
  for (Row& row : table.rows) row.cells.resize(table.columns.size());
  return table;
}

void AddLatencyRow(Table& table, const LatencyName& name, const LatencyFigure& figure) {
  const auto& d = figure.distribution;
  Row row{fmt::format("{} ({})", name.label, name.unit), std::to_string(d.count), NumberText(d.mean, name.size),
          NumberText(d.stddev, name.size)};
  for (const double q : {0.5, 0.9, 0.99}) {
    const auto* estimate = FindQuantile(&figure, q);
    row.cells.emplace_back(estimate == nullptr ? "" : PercentileText(*estimate, name.size));
  }
  row.cells.emplace_back(NumberText(d.max, name.size));
  table.rows.push_back(std::move(row));
}

Table DistributionTable(const cap::CellSummary& cell) {
  Table table{.name = "distributions", .title = "All distributions"};
  table.columns = {
      {.header = "figure", .kind = ColumnKind::kKey}, {"samples"}, {"mean"}, {"sd"}, {"p50"}, {"p90"}, {"p99"}, {"max"}};
  for (const LatencyName& name : kLatencies) {
    if (const LatencyFigure* figure = FindLatency(cell.latencies, name.name)) AddLatencyRow(table, name, *figure);
  }
  for (const MeasurementSummary& measurement : cell.measurements) {
    if (measurement.complete && measurement.load.receive_delay_s) {
      AddLatencyRow(table, {"", "receive delay of the client", "ms", kMilli}, *measurement.load.receive_delay_s);
      break;
    }
  }
  return table;
}

}  // namespace

Section LatencySection(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells) {
  Section section{.heading = "Latency"};
  section.blocks = {CellTable("Means", cells,
                              std::vector<FigureColumn>{{FigureId::kTtftMean, "", "TTFT", true},
                                                        {FigureId::kTpotMean, "", "TPOT", true},
                                                        {FigureId::kItlMean, "", "ITL", true},
                                                        {FigureId::kE2eMean, "", "E2E", true}}),
                    PercentileTable(cells)};
  for (Figure& figure : DistributionFigures(cells)) section.blocks.push_back(std::move(figure));
  for (Figure& figure : SweepFigures(summary, cells)) section.blocks.push_back(std::move(figure));
  for (size_t i = 0; i < cells.size() && i < kMostLatencyTables; ++i) {
    section.parts.push_back({.heading = cells[i].Name(),
                             .anchor = fmt::format("latency-{}", i),
                             .detail = Detail::kPageOnly,
                             .blocks = {BoundsTable(*cells[i].cell), DistributionTable(*cells[i].cell)}});
  }
  if (cells.size() > kMostLatencyTables)
    section.blocks.push_back(
        Paragraph{{fmt::format("The distributions of {} more cells are in the JSON.", cells.size() - kMostLatencyTables)}});
  return section;
}

}  // namespace moecap::report
