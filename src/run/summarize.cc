#include "run/summarize.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/units.h"
#include "cap/compare.h"
#include "run/axis_limits.h"
#include "run/cost_figures.h"
#include "run/measured_system.h"
#include "run/request_figures.h"

namespace moecap::run {
namespace {

using cap::CellSummary;
using cap::SystemSummary;

// The measured records of one cell, all repetitions.
struct CellFacts {
  std::vector<const record::RequestRecord*> requests;
  std::vector<record::PassRecord> passes;
};

CellFacts SelectCell(const std::string& system, int concurrency, std::span<const record::RequestRecord> requests,
                     std::span<const record::PassRecord> passes) {
  const auto belongs = [&](const record::CellId& cell) {
    return cell.system == system && cell.concurrency == concurrency && cell.repeat >= 0;
  };
  CellFacts facts;
  for (const auto& request : requests) {
    if (belongs(request.cell)) facts.requests.push_back(&request);
  }
  for (const auto& pass : passes) {
    if (belongs(pass.cell)) facts.passes.push_back(pass);
  }
  return facts;
}

// docs/metrics.md defines the latencies; only requests that ended well count.
void FillLatencies(const CellFacts& facts, CellSummary& cell) {
  std::vector<double> ttft, tpot, itl, e2e, input, output;
  for (const auto* request : facts.requests) {
    if (!Counts(*request)) continue;
    const std::vector<double>& times = request->token_s;
    ttft.push_back(*TtftOf(*request));
    e2e.push_back(*E2eOf(*request));
    if (const auto value = TpotOf(*request)) tpot.push_back(*value);
    for (size_t i = 1; i < times.size(); ++i) itl.push_back(times[i] - times[i - 1]);
    input.push_back(static_cast<double>(request->input_tokens));
    output.push_back(static_cast<double>(request->output_tokens));
  }
  cell.ttft_s = stats::Describe(ttft);
  cell.tpot_s = stats::Describe(tpot);
  cell.itl_s = stats::Describe(itl);
  cell.e2e_s = stats::Describe(e2e);
  cell.input_tokens = stats::Describe(input);
  cell.output_tokens = stats::Describe(output);
}

void FillThroughput(const std::map<int, RepeatTotals>& repeats, const cap::ServiceLevel& level, CellSummary& cell) {
  std::vector<double> token_rates, request_rates, good_rates;
  for (const auto& [repeat, totals] : repeats) {
    if (totals.Seconds() <= 0) continue;
    token_rates.push_back(totals.output_tokens / totals.Seconds());
    request_rates.push_back(totals.requests / totals.Seconds());
    good_rates.push_back(totals.good_requests / totals.Seconds());
  }
  cell.repeats = static_cast<int64_t>(repeats.size());
  cell.output_tokens_per_s = stats::DescribeRepeats(token_rates);
  cell.requests_per_s = stats::DescribeRepeats(request_rates);
  if (!level.empty()) cell.goodput_requests_per_s = stats::DescribeRepeats(good_rates);
}

// Accuracy over the problems of the first repetition: greedy decoding makes the others copies of it, which is checked.
void FillAccuracy(const CellFacts& facts, CellSummary& cell) {
  std::map<std::string, const record::RequestRecord*> first;
  std::vector<double> scores;
  bool same_tokens = true;
  for (const auto* request : facts.requests) {
    if (!request->score) continue;
    const auto [entry, is_new] = first.try_emplace(request->id, request);
    if (!is_new) {
      same_tokens = same_tokens && entry->second->token_ids == request->token_ids;
      continue;
    }
    scores.push_back(*request->score);
    if (request->extracted) ++cell.answered;
  }
  cell.scored = static_cast<int64_t>(scores.size());
  if (const auto mean = stats::MeanAndError(scores)) {
    cell.accuracy = mean->mean;
    cell.accuracy_stderr = mean->std_error;
  }
  if (!same_tokens) cell.invalid.push_back("repetitions generated different tokens; greedy decoding should not");
}

void FillKvBytes(const model::ModelSpec& model, const CellFacts& facts, CellSummary& cell) {
  double sum = 0, largest = 0;
  int64_t passes = 0;
  for (const auto& pass : facts.passes) {
    if (pass.kind != record::PassKind::kDecode) continue;
    double bytes = 0;
    for (const auto& slice : pass.sequences) {
      bytes += static_cast<double>(slice.count) * model.ResidentKvBytes(slice.context_tokens + slice.new_tokens);
    }
    sum += bytes;
    largest = std::max(largest, bytes);
    ++passes;
  }
  if (passes == 0) return;
  cell.kv_bytes_mean = sum / static_cast<double>(passes);
  cell.kv_bytes_max = largest;
}

// Null unless every repetition that brought requests was measured.
std::optional<double> MeasuredJoules(const Manifest& manifest, const std::string& system, int concurrency) {
  double joules = 0;
  bool any = false;
  for (const Unit& unit : manifest.units) {
    if (unit.cell.system != system || unit.cell.concurrency != concurrency) continue;
    if (!unit.energy_j) return std::nullopt;
    joules += *unit.energy_j;
    any = true;
  }
  return any ? std::optional(joules) : std::nullopt;
}

CellWork WorkOf(const std::map<int, RepeatTotals>& repeats) {
  CellWork work;
  for (const auto& [repeat, totals] : repeats) {
    work.wall_s += totals.Seconds();
    work.input_tokens += totals.input_tokens;
    work.output_tokens += totals.output_tokens;
    work.requests += totals.requests;
  }
  return work;
}

CellSummary SummarizeCell(const SystemDescription& system, int concurrency, const CellFacts& facts, const metrics::Peaks& peaks,
                          const CostFigures& cost, std::optional<double> chips_j, const cap::ServiceLevel& level) {
  CellSummary cell;
  cell.concurrency = concurrency;
  cell.requests = static_cast<int64_t>(facts.requests.size());
  cell.failed = std::count_if(facts.requests.begin(), facts.requests.end(),
                              [](const auto* request) { return request->finish == record::FinishReason::kError; });
  FillLatencies(facts, cell);
  const auto repeats = TotalsByRepeat(facts.requests, level);
  FillThroughput(repeats, level, cell);
  FillAccuracy(facts, cell);
  cell.utilization = metrics::ComputeUtilization(system.model, facts.passes, peaks);
  FillKvBytes(system.model, facts, cell);
  CellWork work = WorkOf(repeats);
  work.chips_j = chips_j;
  cost.Fill(work, cell);
  if (cell.failed > 0) cell.invalid.push_back(fmt::format("{} of {} requests failed", cell.failed, cell.requests));
  return cell;
}

// What the counters saw in all cells whose energy was measured; null when there are none.
std::optional<CellEnergy> EnergyOfRun(const Manifest& manifest, std::span<const record::RequestRecord> requests) {
  CellEnergy energy;
  for (const SystemDescription& system : manifest.systems) {
    for (const int concurrency : manifest.config.concurrency) {
      const auto joules = MeasuredJoules(manifest, system.name, concurrency);
      if (!joules) continue;
      energy.chips_j += *joules;
      energy.wall_s += WorkOf(TotalsByRepeat(SelectCell(system.name, concurrency, requests, {}).requests, {})).wall_s;
    }
  }
  return energy.wall_s > 0 ? std::optional(energy) : std::nullopt;
}

// Share of each layer's routed tokens that each expert received, over the decode and prefill passes of the whole run.
std::vector<std::vector<double>> ExpertShare(const std::string& system, std::span<const record::PassRecord> passes) {
  std::vector<std::vector<double>> share;
  for (const auto& pass : passes) {
    if (pass.cell.system != system || pass.cell.repeat != 0) continue;
    share.resize(std::max(share.size(), pass.expert_counts.size()));
    for (size_t layer = 0; layer < pass.expert_counts.size(); ++layer) {
      const auto& counts = pass.expert_counts[layer];
      share[layer].resize(std::max(share[layer].size(), counts.size()));
      for (size_t expert = 0; expert < counts.size(); ++expert) share[layer][expert] += counts[expert];
    }
  }
  for (auto& layer : share) {
    double total = 0;
    for (const double tokens : layer) total += tokens;
    for (double& tokens : layer) tokens = total > 0 ? tokens / total : 0;
  }
  return share;
}

// The ceiling of the type that the engine multiplies in. Runs of 0.1 do not tell it: then what that engine did on most CPUs.
const std::optional<hardware::Ceiling>& ComputeCeiling(const model::ModelSpec& model, const hardware::Ceilings& ceilings) {
  if (model.compute_type == "bf16") return ceilings.bf16_flops_per_s;
  if (model.compute_type == "int8") return ceilings.int8_ops_per_s;
  if (model.compute_type == "fp32") return ceilings.fp32_flops_per_s;
  const std::string& type = model.weight_type;
  const bool is_float = type == "F16" || type == "BF16" || type == "F32";
  return is_float ? ceilings.fp32_flops_per_s : ceilings.int8_ops_per_s;
}

SystemSummary DescribeSystem(const SystemDescription& system, const Manifest& manifest) {
  SystemSummary summary;
  summary.name = system.name;
  summary.description = system.description;
  summary.model_id = system.model.id;
  summary.weight_type = system.model.weight_type;
  summary.total_params = system.model.TotalParams();
  summary.active_params = system.model.ActiveParams();
  summary.weight_bytes = system.model.WeightBytes();
  summary.moe_layers = system.model.MoeLayers();
  summary.experts = system.model.Experts();
  summary.top_k = system.model.TopK();
  // A server computes elsewhere, and a GPU is no processor.
  if (manifest.ceilings && !system.model.layers.empty() && system.devices.gpus.empty()) {
    if (const auto& ceiling = ComputeCeiling(system.model, *manifest.ceilings)) {
      summary.peak_flops_per_s = ceiling->best;
      summary.peak_flops_kernel = ceiling->kernel;
    }
  }
  return summary;
}

cap::HostSummary DescribeHost(const Manifest& manifest) {
  cap::HostSummary host;
  host.cpu_model = manifest.host.cpu_model;
  host.cores = manifest.host.UsableThreads();
  host.dram_bytes = manifest.host.dram_bytes.value_or(0);
  host.device_id = "this-host";
  if (!manifest.ceilings) return host;
  const hardware::Ceilings& ceilings = *manifest.ceilings;
  if (ceilings.read_bytes_per_s) host.peak_bandwidth_bytes_per_s = ceilings.read_bytes_per_s->best;
  if (ceilings.fp32_flops_per_s) {
    host.peak_flops_per_s = ceilings.fp32_flops_per_s->best;
    host.flops_kernel = ceilings.fp32_flops_per_s->kernel;
  }
  host.peaks_source = "measured " + ceilings.measured_at;
  return host;
}

// Weights that stay in the last cache between passes need no DRAM traffic.
std::vector<std::string> CacheNotes(const Manifest& manifest) {
  const std::optional<double>& cache_bytes = manifest.host.last_level_cache_bytes;
  std::string names;
  for (const SystemDescription& system : manifest.systems) {
    if (system.model.layers.empty() || !system.devices.gpus.empty()) continue;  // its weights are not in this memory
    if (!cache_bytes || system.model.WeightBytes() <= *cache_bytes) names += (names.empty() ? "" : ", ") + system.name;
  }
  if (names.empty()) return {};
  if (!cache_bytes) {
    return {
        fmt::format("{}: whether the weights fit the last-level cache is not known, since this system does not tell its size; "
                    "if they do, S-MBU counts bytes that DRAM need not deliver",
                    names)};
  }
  return {fmt::format(
      "{}: the weights fit into the last-level cache ({}), so S-MBU counts bytes that DRAM need not deliver; it compares "
      "systems, but it is no distance to the hardware limit",
      names, FormatBytes(*cache_bytes))};
}

// What this machine knows of a server elsewhere is the client's side only.
std::vector<std::string> ServerNotes(const Manifest& manifest) {
  std::string names;
  for (const SystemDescription& system : manifest.systems) {
    if (system.model.layers.empty()) names += (names.empty() ? "" : ", ") + system.name;
  }
  if (names.empty()) return {};
  return {
      fmt::format("{}: a server; the host above is the client. Cost and energy are known only if `machine` or `cost` in the "
                  "configuration describe the server's machine, and without records of the server's passes S-MBU and S-MFU are "
                  "not known",
                  names)};
}

cap::AxisLimits LimitsOf(const Manifest& manifest) {
  std::vector<const model::ModelSpec*> models;
  for (const SystemDescription& system : manifest.systems) {
    if (!system.model.layers.empty()) models.push_back(&system.model);  // what a server runs is not known
  }
  return models.empty() ? cap::AxisLimits{} : BuiltinAxisLimits(CommonWork(models));
}

// What every system scores on each axis of the view, by limits that do not depend on the systems.
std::vector<cap::AxisScores> ScoreAxes(std::span<const cap::MeasuredSystem> systems, const cap::CapView& view,
                                       const cap::AxisLimits& limits) {
  std::vector<cap::AxisScores> scores;
  for (const cap::AxisId axis : view.axes) {
    const cap::AxisLimit* limit = cap::FindLimit(limits, axis);
    cap::AxisScores entry{axis, limit != nullptr ? std::optional(*limit) : std::nullopt, {}, {}};
    for (const cap::MeasuredSystem& system : systems) {
      entry.values.push_back(system.Figure(axis));
      entry.robust_score.push_back(cap::RobustScore(cap::AxisOf(axis), system.Figure(axis), limit));
    }
    scores.push_back(std::move(entry));
  }
  return scores;
}

// Scores, classes and their support as the configuration wants them. A cell that tripped a gate brings no figures.
void ScoreCap(const Manifest& manifest, std::span<const record::RequestRecord> requests, cap::RunSummary& summary) {
  const cap::CapView view = cap::ResolveView(manifest.config.cap.choice);
  const cap::RunSummary* runs[] = {&summary};
  summary.cap_scenario = view.scenario;
  summary.cap_cost_axis = view.cost;
  summary.cap_performance_axis = view.performance;
  summary.cap_concurrency = ChooseConcurrency(runs, view);
  std::vector<cap::MeasuredSystem> systems;
  for (const SystemSummary& system : summary.systems)
    systems.push_back(MeasureSystem(summary, system, FindCell(system, summary.cap_concurrency), requests));
  const stats::ResamplingOptions resampling;
  const cap::ScoredInputs scored = cap::MakeCapInputs(systems, view, resampling);
  cap::ScoreOptions options;
  options.cost_axis = view.cost;
  options.performance_axis = view.performance;
  summary.cap = cap::ScoreSystems(scored.inputs, options);
  summary.cap_resamples = resampling.resamples;
  summary.cap_axes = ScoreAxes(systems, view, LimitsOf(manifest));
  summary.accuracy_differences = cap::CompareAccuracies(scored.inputs);
}

}  // namespace

cap::RunSummary Summarize(const Manifest& manifest, std::span<const record::RequestRecord> requests,
                          std::span<const record::PassRecord> passes) {
  cap::RunSummary summary;
  summary.run_id = manifest.run_id;
  summary.started_at = manifest.started_at;
  summary.moecap_version = manifest.moecap_version;
  summary.engine = manifest.systems.empty() ? "" : manifest.systems.front().engine;
  summary.dataset = manifest.config.dataset.string();
  summary.problems = manifest.problems;
  summary.scoring_contract = ScoringName(manifest.config.scoring);
  summary.complete = manifest.complete;
  summary.service_level = manifest.config.cap.service_level;
  summary.host = DescribeHost(manifest);
  summary.notes = CacheNotes(manifest);
  for (const SystemDescription& system : manifest.systems) {
    if (system.devices.gpus.empty()) continue;
    summary.notes.push_back(
        fmt::format("{}: computes on {}, whose ceilings were not measured: S-MBU and S-MFU are not known; give "
                    "its price and power with `machine` or `cost`",
                    system.name, fmt::join(system.devices.gpus, ", ")));
  }
  for (std::string& note : ServerNotes(manifest)) summary.notes.push_back(std::move(note));

  const CostFigures cost(manifest.cost, manifest.pay, manifest.energy_source, EnergyOfRun(manifest, requests), summary.host);
  for (const SystemDescription& system : manifest.systems) {
    SystemSummary entry = DescribeSystem(system, manifest);
    metrics::Peaks peaks{summary.host.peak_bandwidth_bytes_per_s, entry.peak_flops_per_s, 1};
    if (!system.devices.gpus.empty()) peaks.bandwidth_bytes_per_s.reset();  // the processor's memory is not what it reads
    for (const int concurrency : manifest.config.concurrency) {
      const CellFacts facts = SelectCell(system.name, concurrency, requests, passes);
      if (facts.requests.empty()) continue;  // not measured (yet)
      const auto chips_j = MeasuredJoules(manifest, system.name, concurrency);
      entry.cells.push_back(SummarizeCell(system, concurrency, facts, peaks, cost, chips_j, summary.service_level));
    }
    if (entry.moe_layers > 0) entry.expert_share = ExpertShare(system.name, passes);
    summary.systems.push_back(std::move(entry));
  }
  ScoreCap(manifest, requests, summary);
  return summary;
}

Result<cap::RunSummary> SummarizeStored(const Results& results) {
  ASSIGN_OR_RETURN(const auto requests, results.ReadRequests());
  ASSIGN_OR_RETURN(const auto passes, results.ReadPasses());
  return Summarize(results.manifest(), requests, passes);
}

}  // namespace moecap::run
