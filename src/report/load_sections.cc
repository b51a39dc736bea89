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

constexpr size_t kMostCurves = 12;
constexpr const char* kUsualEnd = "all requests sent";

// "8 clients #2" of a cell that was measured more than once.
std::string MeasurementName(const ShownCell& shown, const MeasurementSummary& measurement) {
  return shown.cell->measurements.size() > 1 ? fmt::format("{} #{}", shown.key, measurement.repeat + 1) : shown.key;
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

std::string BoundText(const metrics::Gate& gate) {
  return fmt::format("{} {}", gate.at_least ? "at least" : "at most", GateText(gate.bound, gate.unit));
}

Row GateRow(const ShownCell& shown, const metrics::Gate& gate) {
  constexpr const char* kStates[] = {"passed", "tripped", "not measured"};
  Row row{gate.name, WithNote(kStates[static_cast<size_t>(gate.state)], gate.explanation),
          gate.value ? GateText(*gate.value, gate.unit) : "", BoundText(gate)};
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

// Counts over the whole measurements of a cell.
template <typename Count>
int64_t SumOver(const ShownCell& shown, const Count& count) {
  int64_t sum = 0;
  for (const MeasurementSummary& measurement : shown.cell->measurements) {
    if (measurement.complete) sum += count(measurement.load);
  }
  return sum;
}

std::string CountAndShare(int64_t count, int64_t of) {
  return count == 0 || of == 0 ? ""
                               : fmt::format("{} ({})", count, ShareText(static_cast<double>(count) / static_cast<double>(of)));
}

// Requests that ended well and yet tell less: why the times of their tokens are not known, and how many could not be judged.
Table GapTable(std::span<const ShownCell> cells) {
  Table table{.name = "timing-gaps", .title = "Completed requests whose tokens have no times", .group_header = "system"};
  table.columns = {{.header = "level", .kind = ColumnKind::kKey},
                   {.header = "came whole"},
                   {.header = "stream ignored"},
                   {.header = "uneven chunks"},
                   {.header = "one burst"},
                   {.header = "not judged"}};
  for (const ShownCell& shown : cells) {
    const int64_t completed = SumOver(shown, [](const metrics::LoadFigures& load) { return load.whole.completed; });
    Row row{shown.key};
    bool any = false;
    for (size_t gap = 1; gap <= static_cast<size_t>(record::TimingGap::kOneBurst); ++gap) {
      const int64_t requests = SumOver(shown, [gap](const metrics::LoadFigures& load) {
        const auto found =
            std::ranges::find(load.timing_gaps, static_cast<record::TimingGap>(gap), &metrics::TimingGapCount::gap);
        return found == load.timing_gaps.end() ? int64_t{0} : found->requests;
      });
      any = any || requests > 0;
      row.cells.emplace_back(CountAndShare(requests, completed));
    }
    const int64_t unjudged = SumOver(shown, [](const metrics::LoadFigures& load) { return load.whole.unjudged; });
    row.cells.emplace_back(CountAndShare(unjudged, completed));
    row.group = shown.group;
    row.marker = shown.marker;
    if (any || unjudged > 0) table.rows.push_back(std::move(row));
  }
  DropEmptyColumns(table);
  table.notes = {
      "They have no TPOT and no ITL. Not judged: an objective is set for which they have no figure; they count as not met."};
  return table;
}

Table QuirkTable(std::span<const ShownCell> cells) {
  Table table{.name = "quirks", .title = "What servers did otherwise than their interface says", .group_header = "cell"};
  table.columns = {{.header = "requests", .kind = ColumnKind::kKey}, {.header = "quirk", .kind = ColumnKind::kText}};
  for (const ShownCell& shown : cells) {
    std::vector<metrics::QuirkCount> quirks;
    for (const MeasurementSummary& measurement : shown.cell->measurements) {
      for (const metrics::QuirkCount& count : measurement.load.quirks) {
        const auto found = std::ranges::find(quirks, count.quirk, &metrics::QuirkCount::quirk);
        if (found == quirks.end()) {
          quirks.push_back(count);
        } else {
          found->requests += count.requests;
        }
      }
    }
    for (const metrics::QuirkCount& count : quirks) {
      Row row{std::to_string(count.requests), count.quirk};
      row.group = shown.Name();
      row.marker = shown.marker;
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

// Every measurement with its own busy part.
Table SteadyTable(std::span<const ShownCell> cells) {
  Table table{.name = "steady", .title = "Whole measurement and its busy part", .group_header = "system"};
  table.columns = {{.header = "measurement", .kind = ColumnKind::kKey},
                   {"mean", "in flight"},
                   {"peak", "in flight"},
                   {"from", "busy part", "s"},
                   {"to", "busy part", "s"},
                   {"whole", "output", "tokens/s"},
                   {"busy part", "output", "tokens/s"},
                   {.header = "verdict", .kind = ColumnKind::kText}};
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
  return table;
}

// "TPOT rises in 4 of 5 measurements (last third +7.9 to +8.3 % against the first)"; empty when it drifts in none.
std::string DriftText(const ShownCell& shown, const char* name, metrics::DriftVerdict metrics::SteadyState::*of) {
  int64_t all = 0, drifts = 0;
  double low = 0, high = 0;
  for (const MeasurementSummary& measurement : shown.cell->measurements) {
    if (!measurement.load.steady) continue;
    ++all;
    const metrics::DriftVerdict& verdict = *measurement.load.steady.*of;
    if (verdict.drift != metrics::Drift::kRising && verdict.drift != metrics::Drift::kFalling) continue;
    low = drifts == 0 ? verdict.relative_change : std::min(low, verdict.relative_change);
    high = drifts == 0 ? verdict.relative_change : std::max(high, verdict.relative_change);
    ++drifts;
  }
  if (drifts == 0) return "";
  const std::string change =
      low == high ? fmt::format("{:+.1f} %", 100 * low) : fmt::format("{:+.1f} to {:+.1f} %", 100 * low, 100 * high);
  return fmt::format("{}: {} drifts in {} of {} measurements (last third {} against the first).", shown.Name(), name, drifts,
                     all, change);
}

// A line a cell: means over its measurements.
Table InFlightTable(std::span<const ShownCell> cells) {
  Table table{.name = "in-flight", .title = "Requests in flight, and output of the busy part", .group_header = "system"};
  table.columns = {{.header = "level", .kind = ColumnKind::kKey},
                   {"mean", "in flight"},
                   {"peak", "in flight"},
                   {"whole", "output", "tokens/s"},
                   {"busy part", "output", "tokens/s"}};
  for (const ShownCell& shown : cells) {
    double mean = 0, whole = 0, busy = 0, count = 0;
    int64_t peak = 0;
    for (const MeasurementSummary& measurement : shown.cell->measurements) {
      const metrics::LoadFigures& load = measurement.load;
      if (!measurement.complete || !load.steady || !load.in_steady) continue;
      ++count;
      mean += load.concurrency.mean;
      peak = std::max(peak, load.concurrency.peak);
      whole += load.whole.output_tokens_per_s;
      busy += load.in_steady->output_tokens_per_s;
    }
    if (count == 0) continue;
    Row row{shown.key, NumberText(mean / count), std::to_string(peak), NumberText(whole / count), NumberText(busy / count)};
    row.group = shown.group;
    row.marker = shown.marker;
    row.invalid = !shown.cell->IsValid();
    table.rows.push_back(std::move(row));
  }
  return table;
}

// A line a cell; those that tripped by name.
Table GateCounts(std::span<const ShownCell> cells) {
  Table table{.name = "gate-counts", .group_header = "system"};
  table.columns = {{.header = "level", .kind = ColumnKind::kKey},
                   {.header = "passed"},
                   {.header = "tripped"},
                   {.header = "not measured"},
                   {.header = "what tripped", .kind = ColumnKind::kText}};
  for (const ShownCell& shown : cells) {
    int64_t counts[3] = {};
    std::vector<std::string> tripped;
    for (const metrics::Gate& gate : shown.cell->gates) {
      ++counts[static_cast<size_t>(gate.state)];
      if (gate.tripped())
        tripped.push_back(
            fmt::format("{}: {}, {}", gate.name, gate.value ? GateText(*gate.value, gate.unit) : "", BoundText(gate)));
    }
    Row row{shown.key, std::to_string(counts[0]), std::to_string(counts[1]), std::to_string(counts[2]),
            fmt::format("{}", fmt::join(tripped, "; "))};
    row.group = shown.group;
    row.marker = shown.marker;
    row.invalid = !tripped.empty();
    table.rows.push_back(std::move(row));
  }
  return table;
}

// Each gate that some cell could not judge, with the reason, once.
Notes NotMeasuredNotes(std::span<const ShownCell> cells) {
  Notes notes{.title = "Not measured"};
  for (const ShownCell& shown : cells) {
    for (const metrics::Gate& gate : shown.cell->gates) {
      if (gate.state != metrics::Gate::State::kNotMeasured) continue;
      std::string item = fmt::format("{}: {}", gate.name, gate.explanation);
      if (std::ranges::find(notes.items, item) == notes.items.end()) notes.items.push_back(std::move(item));
    }
  }
  return notes;
}

}  // namespace

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
                    TokenTable(cells),
                    GapTable(cells),
                    QuirkTable(cells),
                    ErrorTable(cells)};
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
  Notes drifts;
  for (const ShownCell& shown : cells) {
    for (const std::string& text :
         {DriftText(shown, "TTFT", &metrics::SteadyState::ttft), DriftText(shown, "TPOT", &metrics::SteadyState::tpot)}) {
      if (!text.empty()) drifts.items.push_back(text);
    }
  }
  section.blocks = {InFlightTable(cells), std::move(drifts)};
  size_t curves = 0;
  for (const ShownCell& shown : cells) {
    const auto whole = std::ranges::find(shown.cell->measurements, true, &MeasurementSummary::complete);
    if (whole != shown.cell->measurements.end() && curves < kMostCurves)
      section.blocks.push_back(InFlightFigure(shown, *whole, curves++));
  }
  section.parts = {
      {.heading = "Each measurement", .anchor = "steady-each", .detail = Detail::kPageOnly, .blocks = {SteadyTable(cells)}}};
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
  section.blocks = {GateCounts(cells), NotMeasuredNotes(cells)};
  section.parts = {{.heading = "Each gate", .anchor = "gates-each", .detail = Detail::kPageOnly, .blocks = {std::move(table)}}};
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
                   {.header = "started", .kind = ColumnKind::kWord},
                   {.header = "requests"},
                   {.header = "failed"},
                   {"tokens/s", "output"},
                   {"ms/token", "output"}};
  for (const auto& [shown, measurement] : entries) {
    const cap::FigureValues& figures = measurement->figures;
    Cell name(fmt::format("{} #{}", shown->Name(), measurement->repeat + 1));
    if (!measurement->complete) {
      name = WithNote(name, "interrupted: in no figure");
    } else if (measurement->ended_by != kUsualEnd) {
      name = WithNote(name, "ended by " + measurement->ended_by);
    }
    Row row{std::move(name),
            TimeOfDay(measurement->started_at),
            CountOf(figures[FigureId::kRequests]),
            CountOf(figures[FigureId::kFailed]),
            NumberText(figures[FigureId::kOutputRate]),
            NumberText(figures[FigureId::kTimePerToken], kMilli)};
    row.marker = shown->marker;
    row.invalid = !measurement->complete || !measurement->IsValid();
    table.rows.push_back(std::move(row));
  }
  table.notes = {"In the order in which they were made, times in UTC; #: the repetition."};
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
