// The fields of the value types behind the reports, for json_fields.h. docs/formats/summary.md explains them. Internal to
// report/ and heavy: include it in .cc files only.
#pragma once

#include <array>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json_fields.h"
#include "cap/judgement.h"
#include "record/jsonl.h"
#include "record/level_json.h"

namespace moecap::stats {

void Fields(auto& archive, JsonFieldsOf<Interval> auto& interval) {
  archive("low", interval.low);
  archive("high", interval.high);
}

void Fields(auto& archive, JsonFieldsOf<Distribution> auto& distribution) {
  archive("count", distribution.count);
  archive("mean", distribution.mean);
  archive("stddev", distribution.stddev);
  archive("min", distribution.min);
  archive("p50", distribution.p50);
  archive("p90", distribution.p90);
  archive("p99", distribution.p99);
  archive("max", distribution.max);
}

void Fields(auto& archive, JsonFieldsOf<QuantileEstimate> auto& estimate) {
  archive("q", estimate.q);
  archive("value", estimate.value);
  archive("low", estimate.low);
  archive("high", estimate.high);
  archive("supported", estimate.supported);
  archive("samples_needed", estimate.samples_needed);
}

}  // namespace moecap::stats

namespace moecap::record {

// Every value of an enumeration whose last one is known, under its name in records.
template <typename E, size_t kCount>
auto NamesOf() {
  std::array<std::pair<E, const char*>, kCount> names;
  for (size_t i = 0; i < kCount; ++i) names[i] = {static_cast<E>(i), Name(static_cast<E>(i)).data()};
  return names;
}

inline auto JsonNames(RequestError) { return NamesOf<RequestError, static_cast<size_t>(RequestError::kNotIssued) + 1>(); }
inline auto JsonNames(TimingGap) { return NamesOf<TimingGap, static_cast<size_t>(TimingGap::kOneBurst) + 1>(); }
inline auto JsonNames(TokensSource) { return NamesOf<TokensSource, static_cast<size_t>(TokensSource::kChunks) + 1>(); }

}  // namespace moecap::record

namespace moecap::cost {

void Fields(auto& archive, JsonFieldsOf<Range> auto& range) {
  archive("low", range.low);
  archive("typical", range.typical);
  archive("high", range.high);
}

}  // namespace moecap::cost

namespace moecap::metrics {

constexpr auto JsonNames(Gate::State) {
  return std::array{std::pair{Gate::State::kPassed, "passed"}, std::pair{Gate::State::kTripped, "tripped"},
                    std::pair{Gate::State::kNotMeasured, "not measured"}};
}

constexpr auto JsonNames(Drift) {
  return std::array{std::pair{Drift::kSteady, "steady"}, std::pair{Drift::kRising, "rising"},
                    std::pair{Drift::kFalling, "falling"}, std::pair{Drift::kTooFewSamples, "too few samples"}};
}

void Fields(auto& archive, JsonFieldsOf<Gate> auto& gate) {
  archive("name", gate.name);
  archive("state", gate.state);
  archive("value", gate.value);
  archive("bound", gate.bound);
  archive("at_least", gate.at_least);
  archive("unit", gate.unit);
  archive("explanation", gate.explanation);
}

void Fields(auto& archive, JsonFieldsOf<LatencyObjectives> auto& objectives) {
  archive("ttft_s", objectives.ttft_s);
  archive("tpot_s", objectives.tpot_s);
  archive("e2e_s", objectives.e2e_s);
  archive("from_intended_send", objectives.from_intended_send);
}

void Fields(auto& archive, JsonFieldsOf<LatencyFigure> auto& figure) {
  archive("name", figure.name);
  archive("distribution", figure.distribution);
  archive("quantiles", figure.quantiles);
}

void Fields(auto& archive, JsonFieldsOf<Window> auto& window) {
  archive("from_s", window.from_s);
  archive("to_s", window.to_s);
}

void Fields(auto& archive, JsonFieldsOf<ServingFigures> auto& figures) {
  archive("window", figures.window);
  archive("offered", figures.offered);
  archive("completed", figures.completed);
  archive("failed", figures.failed);
  archive("cancelled", figures.cancelled);
  archive("without_token_times", figures.without_token_times);
  archive("input_tokens", figures.input_tokens);
  archive("output_tokens", figures.output_tokens);
  archive("reasoning_tokens", figures.reasoning_tokens);
  archive("cached_input_tokens", figures.cached_input_tokens);
  archive("offered_per_s", figures.offered_per_s);
  archive("achieved_share", figures.achieved_share);
  archive("completed_per_s", figures.completed_per_s);
  archive("output_tokens_per_s", figures.output_tokens_per_s);
  archive("met", figures.met);
  archive("unjudged", figures.unjudged);
  archive("goodput_per_s", figures.goodput_per_s);
  archive("good_share", figures.good_share);
  archive("latencies", figures.latencies);
}

void Fields(auto& archive, JsonFieldsOf<DriftVerdict> auto& verdict) {
  archive("drift", verdict.drift);
  archive("relative_change", verdict.relative_change);
  archive("p_value", verdict.p_value);
}

void Fields(auto& archive, JsonFieldsOf<SteadyState> auto& steady) {
  archive("window", steady.window);
  archive("share_of_run", steady.share_of_run);
  archive("ttft", steady.ttft);
  archive("tpot", steady.tpot);
  archive("verdict", steady.verdict);
  archive("steady", steady.steady);
}

void Fields(auto& archive, JsonFieldsOf<ConcurrencyFigures> auto& figures) {
  archive("peak", figures.peak);
  archive("mean", figures.mean);
}

void Fields(auto& archive, JsonFieldsOf<ConcurrencyStep> auto& step) {
  archive("at_s", step.at_s);
  archive("requests", step.requests);
}

void Fields(auto& archive, JsonFieldsOf<ErrorGroup> auto& group) {
  archive("kind", group.kind);
  archive("count", group.count);
  archive("first_s", group.first_s);
  archive("last_s", group.last_s);
  archive("messages", group.messages);
}

void Fields(auto& archive, JsonFieldsOf<TokenSourceCount> auto& count) {
  archive("source", count.source);
  archive("requests", count.requests);
}

void Fields(auto& archive, JsonFieldsOf<TimingGapCount> auto& count) {
  archive("gap", count.gap);
  archive("requests", count.requests);
}

void Fields(auto& archive, JsonFieldsOf<QuirkCount> auto& count) {
  archive("quirk", count.quirk);
  archive("requests", count.requests);
}

void Fields(auto& archive, JsonFieldsOf<LoadFigures> auto& load) {
  archive("whole", load.whole);
  archive("steady", load.steady);
  archive("in_steady", load.in_steady);
  archive("concurrency", load.concurrency);
  archive("concurrency_curve", load.concurrency_curve);
  archive("receive_delay_s", load.receive_delay_s);
  archive("errors", load.errors);
  archive("token_sources", load.token_sources);
  archive("timing_gaps", load.timing_gaps);
  archive("quirks", load.quirks);
  archive("retries", load.retries);
  archive("held_back", load.held_back);
}

void Fields(auto& archive, JsonFieldsOf<PhaseUtilization> auto& phase) {
  archive("passes", phase.passes);
  archive("tokens", phase.tokens);
  archive("latency_s", phase.latency_s);
  archive("bytes", phase.bytes);
  archive("kv_bytes", phase.kv_bytes);
  archive("flops", phase.flops);
  archive("s_mbu", phase.s_mbu);
  archive("s_mfu", phase.s_mfu);
  archive("s_mbu_paper", phase.s_mbu_paper);
  archive("s_mfu_paper", phase.s_mfu_paper);
  archive("mbu", phase.mbu);
  archive("mfu", phase.mfu);
  archive("mean_distinct_experts", phase.mean_distinct_experts);
}

void Fields(auto& archive, JsonFieldsOf<Utilization> auto& utilization) {
  archive("prefill", utilization.prefill);
  archive("decode", utilization.decode);
  archive("mixed", utilization.mixed);
  archive("all", utilization.all);
  archive("gates", utilization.gates);
  archive("invalid", utilization.invalid);
  archive("notes", utilization.notes);
}

}  // namespace moecap::metrics

namespace moecap::cap {

inline auto JsonNames(FigureId) {
  std::array<std::pair<FigureId, const char*>, kFigureCount> names;
  for (const Figure& figure : Figures()) names[static_cast<size_t>(figure.id)] = {figure.id, figure.key.data()};
  return names;
}

constexpr auto JsonNames(LevelRule) {
  return std::array{std::pair{LevelRule::kHighest, "highest"}, std::pair{LevelRule::kLowest, "lowest"}};
}

constexpr auto JsonNames(Dimension) {
  return std::array{std::pair{Dimension::kPerformance, "performance"}, std::pair{Dimension::kCost, "cost"},
                    std::pair{Dimension::kAccuracy, "accuracy"}, std::pair{Dimension::kOther, "other"}};
}

constexpr auto JsonNames(Outcome) {
  return std::array{std::pair{Outcome::kBetter, "better"}, std::pair{Outcome::kWorse, "worse"},
                    std::pair{Outcome::kAsGood, "as good"}, std::pair{Outcome::kUndecided, "undecided"},
                    std::pair{Outcome::kNotJudged, "not judged"}};
}

constexpr auto JsonNames(Domination) {
  return std::array{std::pair{Domination::kDominated, "dominated"}, std::pair{Domination::kNotDominated, "not dominated"},
                    std::pair{Domination::kUndecided, "undecided"}, std::pair{Domination::kNotJudged, "not judged"}};
}

void Fields(auto& archive, JsonFieldsOf<FigureValues> auto& values) {
  for (const Figure& figure : Figures()) archive(figure.key.data(), values[figure.id]);
}

// A set is the list of its keys.
void ArchiveSet(auto& archive, const char* key, JsonFieldsOf<FigureSet> auto& set) {
  std::vector<FigureId> ids;
  for (const Figure& figure : Figures()) {
    if (set.Has(figure.id)) ids.push_back(figure.id);
  }
  archive(key, ids);
  if constexpr (!std::is_const_v<std::remove_reference_t<decltype(set)>>) {
    set = {};
    for (const FigureId id : ids) set.Add(id);
  }
}

void Fields(auto& archive, JsonFieldsOf<MeasurementSummary> auto& measurement) {
  archive("name", measurement.name);
  archive("repeat", measurement.repeat);
  archive("complete", measurement.complete);
  archive("started_at", measurement.started_at);
  archive("ended_by", measurement.ended_by);
  archive("figures", measurement.figures);
  archive("gates", measurement.gates);
  archive("load", measurement.load);
}

void Fields(auto& archive, JsonFieldsOf<ProblemScore> auto& problem) {
  archive("id", problem.id);
  archive("score", problem.score);
  archive("repeats", problem.repeats);
  archive("answered", problem.answered);
  archive("score_parts", problem.score_parts);
  archive("part", problem.part);
}

void Fields(auto& archive, JsonFieldsOf<CellSummary> auto& cell) {
  archive("level", cell.level);
  archive("label", cell.label);
  archive("repeats", cell.repeats);
  archive("figures", cell.figures);
  ArchiveSet(archive, "estimates", cell.estimates);
  archive("energy_is_metered", cell.energy_is_metered);
  archive("gates", cell.gates);
  archive("notes", cell.notes);
  archive("latencies", cell.latencies);
  archive("utilization", cell.utilization);
  archive("items", cell.items);
  archive("measurements", cell.measurements);
}

void Fields(auto& archive, JsonFieldsOf<MachineSummary> auto& machine) {
  archive("name", machine.name);
  archive("is_this_host", machine.is_this_host);
  archive("peak_bandwidth_bytes_per_s", machine.peak_bandwidth_bytes_per_s);
  archive("peak_flops_per_s", machine.peak_flops_per_s);
  archive("peak_flops_kernel", machine.peak_flops_kernel);
  archive("peaks_source", machine.peaks_source);
  archive("usd_per_h", machine.usd_per_h);
  archive("purchase_usd", machine.purchase_usd);
  archive("power_w", machine.power_w);
  archive("power_source", machine.power_source);
  archive("cost_inputs", machine.cost_inputs);
  archive("pay", machine.pay);
  archive("own_usd_per_useful_h", machine.own_usd_per_useful_h);
  archive("rent_usd_per_useful_h", machine.rent_usd_per_useful_h);
  archive("break_even_utilisation", machine.break_even_utilisation);
}

void Fields(auto& archive, JsonFieldsOf<SearchSummary::Probe> auto& probe) {
  archive("level", probe.level);
  archive("offered", probe.offered);
  archive("met", probe.met);
  archive("share_low", probe.share_low);
  archive("share_high", probe.share_high);
  archive("verdict", probe.verdict);
}

void Fields(auto& archive, JsonFieldsOf<SearchSummary> auto& search) {
  archive("what", search.what);
  archive("target_share", search.target_share);
  archive("confidence", search.confidence);
  archive("passes", search.passes);
  archive("fails", search.fails);
  archive("verdict", search.verdict);
  archive("probes", search.probes);
}

void Fields(auto& archive, JsonFieldsOf<SystemSummary> auto& system) {
  archive("name", system.name);
  archive("engine", system.engine);
  archive("description", system.description);
  archive("in_process", system.in_process);
  archive("on_gpu", system.on_gpu);
  archive("url", system.url);
  archive("api", system.api);
  archive("model_id", system.model_id);
  archive("weight_type", system.weight_type);
  archive("meant_as", system.meant_as);
  archive("total_params", system.total_params);
  archive("active_params", system.active_params);
  archive("weight_bytes", system.weight_bytes);
  archive("moe_layers", system.moe_layers);
  archive("experts", system.experts);
  archive("top_k", system.top_k);
  archive("machine", system.machine);
  archive("cells", system.cells);
  archive("search", system.search);
  archive("expert_share", system.expert_share);
}

void Fields(auto& archive, JsonFieldsOf<HostSummary> auto& host) {
  archive("cpu_model", host.cpu_model);
  archive("usable_threads", host.usable_threads);
  archive("dram_bytes", host.dram_bytes);
  archive("client", host.client);
}

void Fields(auto& archive, JsonFieldsOf<ExperimentSummary> auto& summary) {
  archive("run_id", summary.run_id);
  archive("started_at", summary.started_at);
  archive("moecap_version", summary.moecap_version);
  archive("name", summary.name);
  archive("command", summary.command);
  archive("complete", summary.complete);
  archive("workload", summary.workload);
  archive("dataset", summary.dataset);
  archive("problems", summary.problems);
  archive("scoring_contract", summary.scoring_contract);
  archive("load", summary.load);
  archive("order", summary.order);
  archive("objectives", summary.objectives);
  archive("host", summary.host);
  archive("notes", summary.notes);
  archive("systems", summary.systems);
}

}  // namespace moecap::cap
