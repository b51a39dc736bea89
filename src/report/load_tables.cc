#include "report/load_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/table.h"
#include "base/units.h"
#include "record/jsonl.h"

namespace moecap::report {
namespace {

using metrics::Gate;
using metrics::LatencyFigure;
using metrics::LoadCell;
using metrics::LoadTestSummary;
using metrics::ServingFigures;

// How the figures of ServingFigures are called, and in which unit they are printed.
struct FigureName {
  std::string_view name;
  const char* label;
  const char* unit_name;
  double unit;
  bool main;  // has a place in the table of latencies
};
constexpr FigureName kFigureNames[] = {{"ttft_s", "TTFT", "ms", kMilli, true},
                                       {"ttfo_s", "TTFO", "ms", kMilli, true},
                                       {"tpot_s", "TPOT", "ms", kMilli, true},
                                       {"itl_s", "ITL", "ms", kMilli, true},
                                       {"e2e_s", "E2E", "ms", kMilli, true},
                                       {"icl_s", "ICL", "ms", kMilli, false},
                                       {"normalised_s", "E2E per token", "ms", kMilli, false},
                                       {"request_output_tokens_per_s", "request speed", "tokens/s", 1, false},
                                       {"user_ttft_s", "TTFT, intended send", "ms", kMilli, false},
                                       {"user_e2e_s", "E2E, intended send", "ms", kMilli, false},
                                       {"send_lag_s", "send lag", "ms", kMilli, false},
                                       {"connect_s", "connect", "ms", kMilli, false}};

std::string Number(double value, double unit = 1) { return FormatSignificant(value / unit, 3); }

std::string Optional(const std::optional<double>& value, double unit = 1) { return value ? Number(*value, unit) : kMissing; }

std::string Quantile(const ServingFigures& figures, std::string_view name, double q, double unit = kMilli) {
  const auto* estimate = FindQuantile(FindLatency(figures, name), q);
  return estimate == nullptr ? kMissing : PercentileText(*estimate, unit);
}

std::string GoodputText(const ServingFigures& figures) {
  if (!figures.goodput_per_s) return kMissing;
  return Number(*figures.goodput_per_s);
}

std::string ShareOrMissing(const std::optional<double>& share) { return share ? FormatPercent(*share, 1) : kMissing; }

// What users waited before their request was sent shows only from the intended send on.
bool WaitsBeforeSend(const LoadTestSummary& summary) {
  return std::ranges::any_of(summary.cells, [](const LoadCell& cell) {
    const LatencyFigure* service = FindLatency(cell.whole, "e2e_s");
    const LatencyFigure* user = FindLatency(cell.whole, "user_e2e_s");
    return service != nullptr && user != nullptr && user->distribution.mean > 1.01 * service->distribution.mean;
  });
}

std::string ObjectivesText(const metrics::LatencyObjectives& objectives) {
  std::vector<std::string> parts;
  const auto add = [&parts](const char* name, const std::optional<double>& limit) {
    if (limit) parts.push_back(fmt::format("{} at most {}", name, FormatSeconds(*limit)));
  };
  add("TTFT", objectives.ttft_s);
  add("TPOT", objectives.tpot_s);
  add("E2E", objectives.e2e_s);
  if (parts.empty()) return "";
  std::string text = parts.front();
  for (size_t i = 1; i < parts.size(); ++i) text += ", " + parts[i];
  return text + (objectives.from_intended_send ? ", from the intended send" : ", from the actual send");
}

std::string GateValue(double value, const std::string& unit) {
  if (unit == "s") return FormatSeconds(value);
  if (unit == "share") return FormatPercent(value, 1);
  return FormatSignificant(value, 3) + (unit.empty() ? "" : " " + unit);
}

const char* GateState(Gate::State state) {
  switch (state) {
    case Gate::State::kPassed:
      return "passed";
    case Gate::State::kTripped:
      return "TRIPPED";
    case Gate::State::kNotMeasured:
      return "not measured";
  }
  return "";
}

}  // namespace

const LatencyFigure* FindLatency(const ServingFigures& figures, std::string_view name) {
  const auto found = std::ranges::find(figures.latencies, name, &LatencyFigure::name);
  return found == figures.latencies.end() ? nullptr : &*found;
}

const stats::QuantileEstimate* FindQuantile(const LatencyFigure* figure, double q) {
  if (figure == nullptr) return nullptr;
  const auto found = std::ranges::find_if(
      figure->quantiles, [q](const stats::QuantileEstimate& estimate) { return std::abs(estimate.q - q) < 1e-9; });
  return found == figure->quantiles.end() ? nullptr : &*found;
}

std::vector<std::pair<std::string, std::string>> DescribeLoadTest(const LoadTestSummary& summary) {
  std::vector<std::pair<std::string, std::string>> lines;
  const auto add = [&lines](const char* label, std::string text) {
    if (!text.empty()) lines.emplace_back(label, std::move(text));
  };
  std::string server = summary.server.empty() ? summary.url : summary.server + (summary.url.empty() ? "" : ", " + summary.url);
  if (!summary.api.empty()) server += ", " + summary.api;
  add("server", std::move(server));
  add("model", summary.model);
  add("workload", summary.workload);
  add("load", summary.load);
  add("objectives", ObjectivesText(summary.objectives));
  add("client", summary.client);
  add("started", summary.started_at);
  return lines;
}

std::string LoadCellName(const LoadTestSummary& summary, size_t cell) {
  const LoadCell& this_cell = summary.cells[cell];
  const auto same = [&](const LoadCell& other) { return other.label == this_cell.label; };
  const std::string repeat = std::ranges::count_if(summary.cells, same) > 1 ? fmt::format(" #{}", this_cell.repeat + 1) : "";
  return this_cell.label + repeat;
}

std::string LoadHeadline(const LoadTestSummary& summary) {
  const LoadCell* best = nullptr;
  const auto speed = [](const LoadCell& cell) {
    return cell.whole.goodput_per_s ? *cell.whole.goodput_per_s : cell.whole.output_tokens_per_s;
  };
  for (const LoadCell& cell : summary.cells) {
    if (cell.IsValid() && cell.whole.completed > 0 && (best == nullptr || speed(cell) > speed(*best))) best = &cell;
  }
  if (best == nullptr) return "No load of this test passed its validity gates with an answer";
  std::string text = fmt::format("{} tokens/s at {}", FormatSignificant(best->whole.output_tokens_per_s, 3), best->label);
  if (const auto* ttft = FindQuantile(FindLatency(best->whole, "ttft_s"), 0.5); ttft != nullptr && ttft->supported)
    text += fmt::format(", TTFT {}", FormatSeconds(ttft->value));
  if (const auto* tpot = FindQuantile(FindLatency(best->whole, "tpot_s"), 0.5); tpot != nullptr && tpot->supported)
    text += fmt::format(" and TPOT {} at the median", FormatSeconds(tpot->value));
  if (best->whole.good_share)
    text += fmt::format("; {} of the requests kept the objectives", ShareOrMissing(best->whole.good_share));
  return text;
}

LoadTable LoadCellsTable(const LoadTestSummary& summary) {
  struct Column {
    FigureColumn column;
    bool shown;
    std::function<std::string(const LoadCell&)> text;
  };
  const auto any = [&](const auto& has) { return std::ranges::any_of(summary.cells, has); };
  const bool cancelled = any([](const LoadCell& cell) { return cell.whole.cancelled > 0; });
  const bool open_loop = any([](const LoadCell& cell) { return !cell.clients.has_value(); });
  const bool goals = summary.objectives.Any();
  const bool waits = WaitsBeforeSend(summary);
  const auto count = [](int64_t ServingFigures::*field) {
    return [field](const LoadCell& cell) { return std::to_string(cell.whole.*field); };
  };
  const auto rate = [](double ServingFigures::*field) {
    return [field](const LoadCell& cell) { return Number(cell.whole.*field); };
  };
  const auto quantile = [](const char* name, double q) {
    return [name, q](const LoadCell& cell) { return Quantile(cell.whole, name, q); };
  };
  const std::vector<Column> columns = {
      {{"requests", "offered"}, true, count(&ServingFigures::offered)},
      {{"requests", "done"}, true, count(&ServingFigures::completed)},
      {{"requests", "failed"}, true, count(&ServingFigures::failed)},
      {{"requests", "cancelled"}, cancelled, count(&ServingFigures::cancelled)},
      {{"requests/s", "offered"}, true, rate(&ServingFigures::offered_per_s)},
      {{"requests/s", "done"}, true, rate(&ServingFigures::completed_per_s)},
      {{"", "sent in time"}, open_loop, [](const LoadCell& cell) { return ShareOrMissing(cell.whole.achieved_share); }},
      {{"TTFT (ms)", "p50"}, true, quantile("ttft_s", 0.5)},
      {{"TTFT (ms)", "p99"}, true, quantile("ttft_s", 0.99)},
      {{"TPOT (ms)", "p50"}, true, quantile("tpot_s", 0.5)},
      {{"TPOT (ms)", "p99"}, true, quantile("tpot_s", 0.99)},
      {{"E2E (ms)", "p99"}, true, quantile("e2e_s", 0.99)},
      {{"output", "tokens/s"}, true, rate(&ServingFigures::output_tokens_per_s)},
      {{"goodput", "requests/s"}, goals, [](const LoadCell& cell) { return GoodputText(cell.whole); }},
      {{"goodput", "of offered"}, goals, [](const LoadCell& cell) { return ShareOrMissing(cell.whole.good_share); }},
      {{"from intended send (ms)", "TTFT p50"}, waits, quantile("user_ttft_s", 0.5)},
      {{"from intended send (ms)", "TTFT p99"}, waits, quantile("user_ttft_s", 0.99)},
      {{"from intended send (ms)", "E2E p99"}, waits, quantile("user_e2e_s", 0.99)}};
  LoadTable table{"Load and latency, whole run", "load", {}, {}};
  for (size_t i = 0; i < summary.cells.size(); ++i)
    table.rows.push_back({LoadCellName(summary, i), {}, !summary.cells[i].IsValid()});
  for (const Column& column : columns) {
    if (!column.shown) continue;
    table.columns.push_back(column.column);
    for (size_t i = 0; i < summary.cells.size(); ++i) table.rows[i].values.push_back(column.text(summary.cells[i]));
  }
  return table;
}

LoadTable LoadLatencyTable(const LoadCell& cell) {
  LoadTable table{fmt::format("Latency at {}, whole run", cell.label), "statistic", {}, {}};
  const std::vector<std::string> statistics = {"samples", "mean", "sd", "min", "max"};
  std::vector<LoadRow> rows;
  for (const auto& name : statistics) rows.push_back({name, {}, false});
  for (const FigureName& figure : kFigureNames) {
    const LatencyFigure* latency = figure.main ? FindLatency(cell.whole, figure.name) : nullptr;
    if (latency == nullptr) continue;
    const std::string group = fmt::format("{} ({})", figure.label, figure.unit_name);
    for (const char* header : {"value", "low", "high"}) table.columns.push_back({group, header});
    const auto& d = latency->distribution;
    const std::string values[] = {std::to_string(d.count), Number(d.mean, figure.unit), Number(d.stddev, figure.unit),
                                  Number(d.min, figure.unit), Number(d.max, figure.unit)};
    for (size_t i = 0; i < std::size(values); ++i) rows[i].values.insert(rows[i].values.end(), {values[i], "", ""});
    for (size_t i = 0; i < latency->quantiles.size(); ++i) {
      const auto& estimate = latency->quantiles[i];
      const size_t place = statistics.size() + i;
      if (place >= rows.size()) rows.push_back({QuantileName(estimate.q), {}, false});
      auto& row = rows[place].values;
      row.push_back(PercentileText(estimate, figure.unit));
      row.push_back(Optional(estimate.low, figure.unit));
      row.push_back(Optional(estimate.high, figure.unit));
    }
  }
  if (table.columns.empty()) return table;
  // The maximum follows the percentiles.
  std::rotate(rows.begin() + 4, rows.begin() + 5, rows.end());
  table.rows = std::move(rows);
  return table;
}

LoadTable LoadOtherFiguresTable(const LoadCell& cell) {
  LoadTable table{"Other figures",
                  "figure",
                  {{"", "samples"}, {"", "mean"}, {"", "sd"}, {"", "p50"}, {"", "p90"}, {"", "p99"}, {"", "max"}},
                  {}};
  const auto add = [&table](const FigureName& name, const LatencyFigure& figure) {
    const auto& d = figure.distribution;
    LoadRow row{fmt::format("{} ({})", name.label, name.unit_name), {}, false};
    row.values = {std::to_string(d.count), Number(d.mean, name.unit), Number(d.stddev, name.unit)};
    for (const double q : {0.5, 0.9, 0.99}) {
      const auto* estimate = FindQuantile(&figure, q);
      row.values.push_back(estimate == nullptr ? kMissing : PercentileText(*estimate, name.unit));
    }
    row.values.push_back(Number(d.max, name.unit));
    table.rows.push_back(std::move(row));
  };
  for (const FigureName& name : kFigureNames) {
    const LatencyFigure* figure = name.main ? nullptr : FindLatency(cell.whole, name.name);
    if (figure != nullptr) add(name, *figure);
  }
  if (cell.receive_delay_s) add({"receive_delay_s", "receive delay of the client", "ms", kMilli, false}, *cell.receive_delay_s);
  return table;
}

LoadTable LoadSteadyTable(const LoadCell& cell) {
  LoadTable table{"Whole run and steady part", "figure", {{"", "whole run"}, {"", "steady part"}}, {}};
  if (!cell.in_steady) return table;
  const ServingFigures& whole = cell.whole;
  const ServingFigures& steady = *cell.in_steady;
  const auto add = [&](const char* name, const auto& text) {
    table.rows.push_back({name, {text(whole), text(steady)}, false});
  };
  add("from (s)", [](const ServingFigures& f) { return Number(f.window.from_s); });
  add("to (s)", [](const ServingFigures& f) { return Number(f.window.to_s); });
  add("requests", [](const ServingFigures& f) { return std::to_string(f.offered); });
  add("requests/s", [](const ServingFigures& f) { return Number(f.completed_per_s); });
  add("output tokens/s", [](const ServingFigures& f) { return Number(f.output_tokens_per_s); });
  add("goodput, requests/s", [](const ServingFigures& f) { return GoodputText(f); });
  for (const FigureName& name : kFigureNames) {
    if (!name.main || FindLatency(whole, name.name) == nullptr) continue;
    for (const double q : {0.5, 0.99}) {
      const std::string label = fmt::format("{} {} ({})", name.label, QuantileName(q), name.unit_name);
      add(label.c_str(), [&](const ServingFigures& f) { return Quantile(f, name.name, q, name.unit); });
    }
  }
  return table;
}

LoadTable LoadGateTable(const LoadCell& cell) {
  LoadTable table{"Validity gates", "gate", {{"", "value"}, {"", "bound"}, {"", "state", true}, {"", "why", true}}, {}};
  for (const Gate& gate : cell.gates) {
    LoadRow row{gate.name, {}, gate.state == Gate::State::kTripped};
    row.values = {gate.value ? GateValue(*gate.value, gate.unit) : kMissing,
                  fmt::format("{} {}", gate.at_least ? "at least" : "at most", GateValue(gate.bound, gate.unit)),
                  GateState(gate.state), gate.state == Gate::State::kPassed ? "" : gate.explanation};
    table.rows.push_back(std::move(row));
  }
  return table;
}

LoadTable LoadErrorTable(const LoadTestSummary& summary) {
  LoadTable table{"Failed requests",
                  "load",
                  {{"", "kind", true}, {"", "count"}, {"", "first (s)"}, {"", "last (s)"}, {"", "message", true}},
                  {}};
  for (size_t i = 0; i < summary.cells.size(); ++i) {
    for (const auto& group : summary.cells[i].errors) {
      LoadRow row{LoadCellName(summary, i), {}, false};
      const std::string kind = group.kind == record::RequestError::kNone ? "other" : std::string(record::Name(group.kind));
      row.values = {kind, std::to_string(group.count), Number(group.first_s), Number(group.last_s),
                    group.messages.empty() ? "" : group.messages.front()};
      table.rows.push_back(std::move(row));
      for (size_t m = 1; m < group.messages.size(); ++m) {
        LoadRow more{"", {"", "", "", "", group.messages[m]}, false};
        table.rows.push_back(std::move(more));
      }
    }
  }
  return table;
}

LoadTable LoadSearchTable(const metrics::LoadSearch& search) {
  LoadTable table{"Search for the highest load", search.what, {}, {}};
  table.columns = {{"requests", "offered"},
                   {"requests", "met"},
                   {"share that met", "least"},
                   {"share that met", "most"},
                   {"", "verdict", true}};
  for (const auto& probe : search.probes) {
    LoadRow row{Number(probe.load), {}, false};
    row.values = {std::to_string(probe.offered), std::to_string(probe.met), FormatPercent(probe.share_low, 2),
                  FormatPercent(probe.share_high, 2), probe.verdict};
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> LoadWarnings(const LoadTestSummary& summary) {
  std::vector<std::string> warnings;
  if (!summary.complete) warnings.emplace_back("this load test is not complete: it shows what was measured so far");
  for (size_t i = 0; i < summary.cells.size(); ++i) {
    const LoadCell& cell = summary.cells[i];
    const std::string name = LoadCellName(summary, i);
    for (const Gate& gate : cell.gates) {
      if (gate.state != Gate::State::kTripped) continue;
      warnings.push_back(fmt::format(
          "NOT VALID: {}: {} is {}, bound {}{}", name, gate.name, gate.value ? GateValue(*gate.value, gate.unit) : "not known",
          GateValue(gate.bound, gate.unit), gate.explanation.empty() ? "" : "; " + gate.explanation));
    }
    if (cell.held_back > 0) {
      warnings.push_back(fmt::format(
          "{}: {} requests were held back at the limit of requests in flight, so this was no open loop", name, cell.held_back));
    }
  }
  return warnings;
}

std::vector<std::string> LoadNotes(const LoadTestSummary& summary) {
  std::vector<std::string> notes = summary.notes;
  for (size_t i = 0; i < summary.cells.size(); ++i) {
    const LoadCell& cell = summary.cells[i];
    const std::string name = LoadCellName(summary, i);
    if (cell.retries > 0)
      notes.push_back(fmt::format("{}: {} requests were sent again on a new connection", name, cell.retries));
    for (const auto& [source, count] : cell.token_sources) {
      if (source == record::Name(record::TokensSource::kChunks))
        notes.push_back(fmt::format("{}: output tokens of {} requests are estimates, one a chunk", name, count));
    }
    if (cell.steady) notes.push_back(fmt::format("{}: {}", name, cell.steady->verdict));
  }
  notes.emplace_back(
      "n/a (N): this percentile needs N samples; with fewer it would be one of the few largest. Low and high are its bounds at "
      "99 % each.");
  notes.emplace_back(
      "TTFT, TPOT and E2E count from the moment a request was sent on an open connection; goodput counts every offered "
      "request.");
  return notes;
}

LoadTestSummary Printable(LoadTestSummary summary) {
  std::vector<std::string*> texts = {
      &summary.run_id, &summary.started_at, &summary.moecap_version, &summary.name, &summary.server, &summary.url,
      &summary.api,    &summary.model,      &summary.workload,       &summary.load, &summary.client};
  for (auto& note : summary.notes) texts.push_back(&note);
  for (auto& cell : summary.cells) {
    texts.push_back(&cell.label);
    texts.push_back(&cell.ended_by);
    for (auto& group : cell.errors) {
      for (auto& message : group.messages) texts.push_back(&message);
    }
    for (auto& gate : cell.gates) {
      for (auto* text : {&gate.name, &gate.unit, &gate.explanation}) texts.push_back(text);
    }
  }
  if (summary.search) {
    texts.push_back(&summary.search->what);
    texts.push_back(&summary.search->verdict);
    for (auto& probe : summary.search->probes) texts.push_back(&probe.verdict);
  }
  for (auto* text : texts) *text = PrintableText(*text);
  return summary;
}

}  // namespace moecap::report
