#include "report/load_sections.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "record/jsonl.h"
#include "report/experiment_plots.h"
#include "report/format.h"

namespace moecap::report {
namespace {

using cap::FigureId;
using cap::MeasurementSummary;
using metrics::LatencyFigure;

constexpr size_t kMostLatencyTables = 12;
constexpr size_t kMostCurves = 12;

// How the distributions of a cell are called, and in which unit they are printed.
struct LatencyName {
  std::string_view name;
  const char* label;
  const char* unit;
  double size;
  bool main;  // has a place in the table with bounds
};
constexpr LatencyName kLatencies[] = {{"ttft_s", "TTFT", "ms", kMilli, true},
                                      {"ttfo_s", "TTFO", "ms", kMilli, true},
                                      {"tpot_s", "TPOT", "ms", kMilli, true},
                                      {"itl_s", "ITL", "ms", kMilli, true},
                                      {"e2e_s", "E2E", "ms", kMilli, true},
                                      {"user_time_per_token_s", "time per output token", "ms", kMilli, false},
                                      {"icl_s", "ICL", "ms", kMilli, false},
                                      {"normalised_s", "E2E per token", "ms", kMilli, false},
                                      {"request_output_tokens_per_s", "request speed", "tokens/s", 1, false},
                                      {"user_ttft_s", "TTFT, intended send", "ms", kMilli, false},
                                      {"user_e2e_s", "E2E, intended send", "ms", kMilli, false},
                                      {"send_lag_s", "send lag", "ms", kMilli, false},
                                      {"connect_s", "connect", "ms", kMilli, false}};

// "8 clients #2" of a cell that was measured more than once.
std::string MeasurementName(const ShownCell& shown, const MeasurementSummary& measurement) {
  return shown.cell->measurements.size() > 1 ? fmt::format("{} #{}", shown.key, measurement.repeat + 1) : shown.key;
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
    const LatencyFigure* latency = name.main ? FindLatency(cell.latencies, name.name) : nullptr;
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
      AddLatencyRow(table, {"", "receive delay of the client", "ms", kMilli, false}, *measurement.load.receive_delay_s);
      break;
    }
  }
  return table;
}

std::string CountOf(const std::optional<double>& count) { return count ? fmt::format("{:.0f}", *count) : ""; }

// "12:03:04" of "2026-01-31T12:03:04Z".
std::string TimeOfDay(const std::string& started_at) {
  constexpr size_t kBegin = 11, kLength = 8;
  return started_at.size() >= kBegin + kLength ? started_at.substr(kBegin, kLength) : started_at;
}

std::string GateText(double value, const std::string& unit) {
  if (unit == "s") return SecondsText(value);
  if (unit == "share") return ShareText(value);
  const std::string number = NumberText(value);
  return unit.empty() || number.empty() ? number : number + " " + unit;
}

Row GateRow(const ShownCell& shown, const metrics::Gate& gate) {
  constexpr const char* kStates[] = {"passed", "tripped", "not measured"};
  Row row{gate.name, WithNote(kStates[static_cast<size_t>(gate.state)], gate.explanation),
          gate.value ? GateText(*gate.value, gate.unit) : "",
          fmt::format("{} {}", gate.at_least ? "at least" : "at most", GateText(gate.bound, gate.unit))};
  row.group = shown.Name();
  row.marker = shown.marker;
  row.invalid = gate.tripped();
  return row;
}

// The errors of all measurements of a cell, by kind, in order of appearance.
std::vector<metrics::ErrorGroup> ErrorsOf(const cap::CellSummary& cell) {
  constexpr size_t kMostMessages = 5;
  std::vector<metrics::ErrorGroup> all;
  for (const MeasurementSummary& measurement : cell.measurements) {
    for (const metrics::ErrorGroup& group : measurement.load.errors) {
      const auto found = std::ranges::find(all, group.kind, &metrics::ErrorGroup::kind);
      if (found == all.end()) {
        all.push_back(group);
        continue;
      }
      found->count += group.count;
      found->first_s = std::min(found->first_s, group.first_s);
      found->last_s = std::max(found->last_s, group.last_s);
      for (const std::string& message : group.messages) {
        const bool is_new = std::ranges::find(found->messages, message) == found->messages.end();
        if (is_new && found->messages.size() < kMostMessages) found->messages.push_back(message);
      }
    }
  }
  return all;
}

Table ErrorTable(std::span<const ShownCell> cells) {
  Table table{.name = "errors", .title = "Failed requests", .group_header = "cell"};
  table.columns = {{.header = "kind", .kind = ColumnKind::kKey},
                   {.header = "count"},
                   {"first", "sent after", "s"},
                   {"last", "sent after", "s"},
                   {.header = "messages", .kind = ColumnKind::kText}};
  for (const ShownCell& shown : cells) {
    for (const metrics::ErrorGroup& group : ErrorsOf(*shown.cell)) {
      const bool named = group.kind != record::RequestError::kNone;
      Row row{named ? std::string(record::Name(group.kind)) : "other", std::to_string(group.count), NumberText(group.first_s),
              NumberText(group.last_s), fmt::format("{}", fmt::join(group.messages, " | "))};
      row.group = shown.Name();
      row.marker = shown.marker;
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

// How the output tokens of each cell were counted.
Table TokenTable(std::span<const ShownCell> cells) {
  Table table{.name = "token-counts", .title = "Requests by how their output tokens were counted", .group_header = "system"};
  table.columns = {{.header = "level", .kind = ColumnKind::kKey}};
  for (const ShownCell& shown : cells) {
    Row row{shown.key};
    row.group = shown.group;
    row.marker = shown.marker;
    table.rows.push_back(std::move(row));
  }
  for (size_t source = 0; source <= static_cast<size_t>(record::TokensSource::kChunks); ++source) {
    std::vector<Cell> counts;
    for (const ShownCell& shown : cells) {
      int64_t requests = 0;
      for (const MeasurementSummary& measurement : shown.cell->measurements) {
        for (const auto& count : measurement.load.token_sources)
          requests += static_cast<size_t>(count.source) == source ? count.requests : 0;
      }
      counts.emplace_back(requests > 0 ? std::to_string(requests) : "");
      counts.back().estimate = requests > 0 && source == static_cast<size_t>(record::TokensSource::kChunks);
    }
    AddColumn(table, {.header = std::string(record::Name(static_cast<record::TokensSource>(source)))}, std::move(counts));
  }
  DropEmptyColumns(table);
  if (table.columns.size() == 1) table.rows.clear();
  table.notes = {"Most exact first. Chunks: the server gave no count, and one chunk was taken for one token."};
  return table;
}

}  // namespace

Section LatencySection(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells) {
  Section section{.heading = "Latency"};
  section.blocks = {CellTable("Means and percentiles", cells,
                              std::vector<FigureColumn>{{FigureId::kTtftMean, "TTFT", "mean"},
                                                        {FigureId::kTtftP50, "TTFT", "p50"},
                                                        {FigureId::kTtftP90, "TTFT", "p90"},
                                                        {FigureId::kTtftP99, "TTFT", "p99"},
                                                        {FigureId::kTpotMean, "TPOT", "mean"},
                                                        {FigureId::kTpotP50, "TPOT", "p50"},
                                                        {FigureId::kTpotP90, "TPOT", "p90"},
                                                        {FigureId::kTpotP99, "TPOT", "p99"},
                                                        {FigureId::kItlMean, "ITL", "mean"},
                                                        {FigureId::kItlP50, "ITL", "p50"},
                                                        {FigureId::kItlP99, "ITL", "p99"},
                                                        {FigureId::kE2eMean, "E2E", "mean"},
                                                        {FigureId::kE2eP50, "E2E", "p50"},
                                                        {FigureId::kE2eP90, "E2E", "p90"},
                                                        {FigureId::kE2eP99, "E2E", "p99"}})};
  for (Figure& figure : DistributionFigures(cells)) section.blocks.push_back(std::move(figure));
  for (Figure& figure : SweepFigures(summary, cells)) section.blocks.push_back(std::move(figure));
  for (size_t i = 0; i < cells.size() && i < kMostLatencyTables; ++i) {
    section.parts.push_back({.heading = cells[i].Name(),
                             .anchor = fmt::format("latency-{}", i),
                             .detail = Detail::kFolded,
                             .blocks = {BoundsTable(*cells[i].cell), DistributionTable(*cells[i].cell)}});
  }
  if (cells.size() > kMostLatencyTables)
    section.blocks.push_back(
        Paragraph{{fmt::format("The distributions of {} more cells are in the JSON.", cells.size() - kMostLatencyTables)}});
  return section;
}

Section RequestSection(std::span<const ShownCell> cells) {
  Section section{.heading = "Requests and errors"};
  section.blocks = {CellTable("Requests", cells,
                              std::vector<FigureColumn>{{FigureId::kRequests, "requests", "offered"},
                                                        {FigureId::kCompleted, "requests", "completed"},
                                                        {FigureId::kFailed, "requests", "failed"},
                                                        {FigureId::kCancelled, "requests", "cancelled"},
                                                        {FigureId::kInputTokens, "tokens of a request", "input"},
                                                        {FigureId::kOutputTokens, "tokens of a request", "output"},
                                                        {FigureId::kCachedShare}}),
                    CellTable("Rates", cells,
                              std::vector<FigureColumn>{{FigureId::kOfferedRate},
                                                        {FigureId::kRequestRate, "", "", true},
                                                        {FigureId::kGoodput, "", "", true},
                                                        {FigureId::kGoodShare, "", "", true},
                                                        {FigureId::kReceiveDelay},
                                                        {FigureId::kClientCpu}}),
                    TokenTable(cells), ErrorTable(cells)};
  Notes notes;
  for (const ShownCell& shown : cells) {
    int64_t retries = 0;
    for (const MeasurementSummary& measurement : shown.cell->measurements) retries += measurement.load.retries;
    if (retries > 0)
      notes.items.push_back(fmt::format("{}: {} sent again on a new connection.", shown.Name(),
                                        CountText(retries, "request was", "requests were")));
  }
  section.blocks.push_back(std::move(notes));
  return section;
}

Section SteadySection(std::span<const ShownCell> cells) {
  Section section{.heading = "Steady part and requests in flight", .anchor = "steady"};
  Table table{.name = "steady", .title = "Whole measurement and its busy part", .group_header = "system"};
  table.columns = {{.header = "measurement", .kind = ColumnKind::kKey},
                   {"mean", "in flight"},
                   {"peak", "in flight"},
                   {"from", "busy part", "s"},
                   {"to", "busy part", "s"},
                   {"whole", "output", "tokens/s"},
                   {"busy part", "output", "tokens/s"},
                   {.header = "verdict", .kind = ColumnKind::kText}};
  size_t curves = 0;
  for (const ShownCell& shown : cells) {
    for (const MeasurementSummary& measurement : shown.cell->measurements) {
      const metrics::LoadFigures& load = measurement.load;
      if (!load.steady) continue;
      Row row{MeasurementName(shown, measurement),
              NumberText(load.concurrency.mean),
              std::to_string(load.concurrency.peak),
              NumberText(load.steady->window.from_s),
              NumberText(load.steady->window.to_s),
              NumberText(load.whole.output_tokens_per_s),
              load.in_steady ? NumberText(load.in_steady->output_tokens_per_s) : "",
              Sentence(load.steady->verdict)};
      row.group = shown.group;
      row.marker = shown.marker;
      table.rows.push_back(std::move(row));
    }
  }
  section.blocks.push_back(std::move(table));
  for (const ShownCell& shown : cells) {
    const auto whole = std::ranges::find(shown.cell->measurements, true, &MeasurementSummary::complete);
    if (whole != shown.cell->measurements.end() && curves < kMostCurves)
      section.blocks.push_back(InFlightFigure(shown, *whole, curves++));
  }
  return section;
}

Section GateSection(std::span<const ShownCell> cells) {
  Section section{.heading = "Gates"};
  Table table{.name = "gates", .group_header = "cell"};
  table.columns = {{.header = "gate", .kind = ColumnKind::kKey},
                   {.header = "state", .kind = ColumnKind::kWord},
                   {.header = "value"},
                   {.header = "bound"}};
  for (const ShownCell& shown : cells) {
    for (const metrics::Gate& gate : shown.cell->gates) table.rows.push_back(GateRow(shown, gate));
  }
  section.blocks.push_back(std::move(table));
  return section;
}

Section MeasurementSection(std::span<const ShownCell> cells) {
  Section section{.heading = "Measurements"};
  struct Entry {
    const ShownCell* shown;
    const MeasurementSummary* measurement;
  };
  std::vector<Entry> entries;
  for (const ShownCell& shown : cells) {
    for (const MeasurementSummary& measurement : shown.cell->measurements) entries.push_back({&shown, &measurement});
  }
  std::ranges::stable_sort(entries, {}, [](const Entry& entry) { return entry.measurement->started_at; });
  Table table{.name = "measurements"};
  table.columns = {{.header = "measurement", .kind = ColumnKind::kKey},
                   {.header = "started (UTC)", .kind = ColumnKind::kWord},
                   {.header = "ended by", .kind = ColumnKind::kWord},
                   {.header = "requests"},
                   {.header = "failed"},
                   {"tokens/s", "output"},
                   {"ms/token", "output"}};
  for (const auto& [shown, measurement] : entries) {
    const cap::FigureValues& figures = measurement->figures;
    Cell name(fmt::format("{} #{}", shown->Name(), measurement->repeat + 1));
    if (!measurement->complete) name = WithNote(name, "interrupted: in no figure");
    Row row{std::move(name),
            TimeOfDay(measurement->started_at),
            measurement->ended_by,
            CountOf(figures[FigureId::kRequests]),
            CountOf(figures[FigureId::kFailed]),
            NumberText(figures[FigureId::kOutputRate]),
            NumberText(figures[FigureId::kTimePerToken], kMilli)};
    row.marker = shown->marker;
    row.invalid = !measurement->complete || !measurement->IsValid();
    table.rows.push_back(std::move(row));
  }
  table.notes = {"In the order in which they were made; #: the repetition."};
  section.blocks.push_back(std::move(table));
  return section;
}

Section SearchSection(const cap::ExperimentSummary& summary) {
  Section section{.heading = "Highest load that keeps the objectives", .anchor = "search"};
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const cap::SystemSummary& system = summary.systems[i];
    if (!system.search) continue;
    const cap::SearchSummary& search = *system.search;
    Table table{.name = "search", .title = summary.systems.size() > 1 ? system.name : ""};
    table.columns = {{.header = search.what, .kind = ColumnKind::kKey},
                     {"offered", "requests"},
                     {"met", "requests"},
                     {"least", "share that met", "%"},
                     {"most", "share that met", "%"},
                     {.header = "verdict", .kind = ColumnKind::kWord}};
    for (const auto& probe : search.probes) {
      table.rows.push_back({fmt::format("{:g}", probe.level), std::to_string(probe.offered), std::to_string(probe.met),
                            NumberText(probe.share_low, kPercent), NumberText(probe.share_high, kPercent), probe.verdict});
    }
    section.blocks.push_back(Paragraph{{Sentence(search.verdict)}});
    section.blocks.push_back(std::move(table));
    section.blocks.push_back(SearchFigure(search, i));
  }
  return section;
}

}  // namespace moecap::report
