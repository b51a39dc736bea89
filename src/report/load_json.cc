#include "report/load_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "record/jsonl.h"
#include "report/load_tables.h"

namespace moecap::report {
namespace {

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// "p99_9": a key without a dot.
std::string QuantileKey(double q) {
  std::string name = QuantileName(q);
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
}

Json ToJson(const metrics::LatencyFigure& figure) {
  Json percentiles = Json::object();
  for (const auto& estimate : figure.quantiles) {
    percentiles[QuantileKey(estimate.q)] = {{"value", estimate.supported ? Json(estimate.value) : Json(nullptr)},
                                            {"low", OrNull(estimate.low)},
                                            {"high", OrNull(estimate.high)},
                                            {"supported", estimate.supported},
                                            {"samples_needed", estimate.samples_needed}};
  }
  const auto& d = figure.distribution;
  return {{"count", d.count}, {"mean", d.mean}, {"stddev", d.stddev},
          {"min", d.min},     {"max", d.max},   {"percentiles", std::move(percentiles)}};
}

Json ToJson(const metrics::ServingFigures& figures) {
  Json latencies = Json::object();
  for (const auto& figure : figures.latencies) latencies[figure.name] = ToJson(figure);
  return {{"from_s", figures.window.from_s},
          {"to_s", figures.window.to_s},
          {"duration_s", figures.window.Seconds()},
          {"offered", figures.offered},
          {"completed", figures.completed},
          {"failed", figures.failed},
          {"cancelled", figures.cancelled},
          {"input_tokens", figures.input_tokens},
          {"output_tokens", figures.output_tokens},
          {"reasoning_tokens", figures.reasoning_tokens},
          {"cached_input_tokens", figures.cached_input_tokens},
          {"offered_requests_per_s", figures.offered_per_s},
          {"achieved_share", OrNull(figures.achieved_share)},
          {"completed_requests_per_s", figures.completed_per_s},
          {"output_tokens_per_s", figures.output_tokens_per_s},
          {"met", OrNull(figures.met)},
          {"goodput_requests_per_s", OrNull(figures.goodput_per_s)},
          {"good_share", OrNull(figures.good_share)},
          {"latencies", std::move(latencies)}};
}

Json ToJson(const metrics::DriftVerdict& drift) {
  return {{"drift", metrics::DriftName(drift.drift)}, {"relative_change", drift.relative_change}, {"p_value", drift.p_value}};
}

Json SteadyToJson(const metrics::LoadCell& cell) {
  if (!cell.steady) return nullptr;
  Json steady = {{"steady", cell.steady->steady},
                 {"verdict", cell.steady->verdict},
                 {"share_of_run", cell.steady->share_of_run},
                 {"ttft_s", ToJson(cell.steady->ttft)},
                 {"tpot_s", ToJson(cell.steady->tpot)}};
  steady["figures"] = cell.in_steady ? ToJson(*cell.in_steady) : Json(nullptr);
  return steady;
}

const char* StateName(metrics::Gate::State state) {
  switch (state) {
    case metrics::Gate::State::kPassed:
      return "passed";
    case metrics::Gate::State::kTripped:
      return "tripped";
    case metrics::Gate::State::kNotMeasured:
      return "not_measured";
  }
  return "";
}

Json ToJson(const metrics::Gate& gate) {
  return {{"name", gate.name},
          {"value", OrNull(gate.value)},
          {"bound", gate.bound},
          {"comparison", gate.at_least ? "at_least" : "at_most"},
          {"unit", gate.unit},
          {"state", StateName(gate.state)},
          {"explanation", gate.explanation}};
}

Json ToJson(const metrics::LoadCell& cell) {
  Json curve = Json::array();
  for (const auto& step : cell.concurrency_curve) curve.push_back({{"at_s", step.at_s}, {"requests", step.requests}});
  Json errors = Json::array();
  for (const auto& group : cell.errors) {
    errors.push_back({{"kind", record::Name(group.kind)},
                      {"count", group.count},
                      {"first_s", group.first_s},
                      {"last_s", group.last_s},
                      {"messages", group.messages}});
  }
  Json sources = Json::object();
  for (const auto& [source, count] : cell.token_sources) sources[source] = count;
  Json gates = Json::array();
  for (const auto& gate : cell.gates) gates.push_back(ToJson(gate));
  return {{"label", cell.label},
          {"clients", OrNull(cell.clients)},
          {"rate_per_s", OrNull(cell.rate_per_s)},
          {"repeat", cell.repeat},
          {"valid", cell.IsValid()},
          {"ended_by", cell.ended_by},
          {"whole", ToJson(cell.whole)},
          {"steady", SteadyToJson(cell)},
          {"concurrency", {{"peak", cell.concurrency.peak}, {"mean", cell.concurrency.mean}, {"curve", std::move(curve)}}},
          {"receive_delay_s", cell.receive_delay_s ? ToJson(*cell.receive_delay_s) : Json(nullptr)},
          {"errors", std::move(errors)},
          {"token_sources", std::move(sources)},
          {"retries", cell.retries},
          {"held_back", cell.held_back},
          {"gates", std::move(gates)},
          {"client_cpu_s", cell.client_cpu_s},
          {"threads", cell.threads}};
}

Json ToJson(const metrics::LoadSearch& search) {
  Json probes = Json::array();
  for (const auto& probe : search.probes) {
    probes.push_back({{"load", probe.load},
                      {"offered", probe.offered},
                      {"met", probe.met},
                      {"share_low", probe.share_low},
                      {"share_high", probe.share_high},
                      {"verdict", probe.verdict}});
  }
  return {{"what", search.what},
          {"target_share", search.target_share},
          {"confidence", search.confidence},
          {"passes", OrNull(search.passes)},
          {"fails", OrNull(search.fails)},
          {"verdict", search.verdict},
          {"probes", std::move(probes)}};
}

}  // namespace

Json LoadTestToJson(const metrics::LoadTestSummary& summary) {
  Json cells = Json::array();
  bool valid = true;
  for (const auto& cell : summary.cells) {
    cells.push_back(ToJson(cell));
    valid = valid && cell.IsValid();
  }
  const Json objectives = {{"ttft_s", OrNull(summary.objectives.ttft_s)},
                           {"tpot_s", OrNull(summary.objectives.tpot_s)},
                           {"e2e_s", OrNull(summary.objectives.e2e_s)},
                           {"from_intended_send", summary.objectives.from_intended_send}};
  return {{"schema", kLoadSchema},
          {"kind", "load_test"},
          {"run_id", summary.run_id},
          {"started_at", summary.started_at},
          {"moecap_version", summary.moecap_version},
          {"name", summary.name},
          {"server", summary.server},
          {"url", summary.url},
          {"api", summary.api},
          {"model", summary.model},
          {"workload", summary.workload},
          {"load", summary.load},
          {"client", summary.client},
          {"complete", summary.complete},
          {"valid", valid},
          {"objectives", objectives},
          {"cells", std::move(cells)},
          {"search", summary.search ? ToJson(*summary.search) : Json(nullptr)},
          {"notes", summary.notes}};
}

}  // namespace moecap::report
