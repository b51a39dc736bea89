#include "run/summarize.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/units.h"
#include "run/cost_figures.h"

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
    if (!request->ok() || request->token_s.empty()) continue;
    const std::vector<double>& times = request->token_s;
    ttft.push_back(times.front() - request->send_s);
    e2e.push_back(times.back() - request->send_s);
    if (times.size() > 1) tpot.push_back((times.back() - times.front()) / static_cast<double>(times.size() - 1));
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

// What finished in one repetition, between its first send and its last token: ramp-up and drain included.
struct RepeatTotals {
  double first_send_s = 0, last_token_s = 0;
  double input_tokens = 0, output_tokens = 0, requests = 0;

  double Seconds() const { return requests > 0 ? last_token_s - first_send_s : 0; }
};

std::map<int, RepeatTotals> TotalsByRepeat(const CellFacts& facts) {
  std::map<int, RepeatTotals> repeats;
  for (const auto* request : facts.requests) {
    const auto [entry, is_new] = repeats.try_emplace(request->cell.repeat);
    RepeatTotals& totals = entry->second;
    totals.first_send_s = is_new ? request->send_s : std::min(totals.first_send_s, request->send_s);
    if (!request->ok() || request->token_s.empty()) continue;
    totals.last_token_s = std::max(totals.last_token_s, request->token_s.back());
    totals.input_tokens += static_cast<double>(request->input_tokens);
    totals.output_tokens += static_cast<double>(request->output_tokens);
    totals.requests += 1;
  }
  return repeats;
}

void FillThroughput(const std::map<int, RepeatTotals>& repeats, CellSummary& cell) {
  std::vector<double> token_rates, request_rates;
  for (const auto& [repeat, totals] : repeats) {
    if (totals.Seconds() <= 0) continue;
    token_rates.push_back(totals.output_tokens / totals.Seconds());
    request_rates.push_back(totals.requests / totals.Seconds());
  }
  cell.repeats = static_cast<int64_t>(repeats.size());
  cell.output_tokens_per_s = stats::DescribeRepeats(token_rates);
  cell.requests_per_s = stats::DescribeRepeats(request_rates);
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

void FillCost(const CostFigures& cost, const std::map<int, RepeatTotals>& repeats, CellSummary& cell) {
  RepeatTotals sum;
  double wall_s = 0;
  for (const auto& [repeat, totals] : repeats) {
    wall_s += totals.Seconds();
    sum.input_tokens += totals.input_tokens;
    sum.output_tokens += totals.output_tokens;
  }
  cost.Fill(wall_s, sum.input_tokens, sum.output_tokens, cell);
}

CellSummary SummarizeCell(const SystemDescription& system, int concurrency, const CellFacts& facts, const metrics::Peaks& peaks,
                          const CostFigures& cost) {
  CellSummary cell;
  cell.concurrency = concurrency;
  cell.requests = static_cast<int64_t>(facts.requests.size());
  cell.failed = std::count_if(facts.requests.begin(), facts.requests.end(),
                              [](const auto* request) { return request->finish == record::FinishReason::kError; });
  FillLatencies(facts, cell);
  const auto repeats = TotalsByRepeat(facts);
  FillThroughput(repeats, cell);
  FillAccuracy(facts, cell);
  cell.utilization = metrics::ComputeUtilization(system.model, facts.passes, peaks);
  FillKvBytes(system.model, facts, cell);
  FillCost(cost, repeats, cell);
  if (cell.failed > 0) cell.invalid.push_back(fmt::format("{} of {} requests failed", cell.failed, cell.requests));
  return cell;
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

// The engine multiplies block-quantised weights in 8-bit integers and all others in fp32 on a CPU.
const std::optional<hardware::Ceiling>& ComputeCeiling(const SystemDescription& system, const hardware::Ceilings& ceilings) {
  const std::string& type = system.model.weight_type;
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
  if (manifest.ceilings) {
    if (const auto& ceiling = ComputeCeiling(system, *manifest.ceilings)) {
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
  host.dram_bytes = manifest.host.dram_bytes;
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
  std::string names;
  for (const SystemDescription& system : manifest.systems) {
    if (system.model.layers.empty()) continue;  // a server: its weights are not here
    if (system.model.WeightBytes() <= manifest.host.last_level_cache_bytes) names += (names.empty() ? "" : ", ") + system.name;
  }
  if (names.empty()) return {};
  return {fmt::format(
      "{}: the weights fit into the last-level cache ({}), so S-MBU counts bytes that DRAM need not deliver; it compares "
      "systems, but it is no distance to the hardware limit",
      names, FormatBytes(manifest.host.last_level_cache_bytes))};
}

// What this machine knows of a server elsewhere is the client's side only.
std::vector<std::string> ServerNotes(const Manifest& manifest) {
  std::string names;
  for (const SystemDescription& system : manifest.systems) {
    if (system.model.layers.empty()) names += (names.empty() ? "" : ", ") + system.name;
  }
  if (names.empty()) return {};
  return {
      fmt::format("{}: a server; the host above is the client, its prices are the server's only if `cost` in the configuration "
                  "says so, and without records of the server's passes S-MBU and S-MFU are not known",
                  names)};
}

// Scores of the first repetition, in the order of the problems; empty unless every problem was scored.
std::vector<double> ItemScores(const std::string& system, int concurrency, int64_t problems,
                               std::span<const record::RequestRecord> requests) {
  std::vector<double> scores;
  for (const auto& request : requests) {
    if (request.cell == record::CellId{system, concurrency, 0} && request.score) scores.push_back(*request.score);
  }
  return static_cast<int64_t>(scores.size()) == problems ? scores : std::vector<double>{};
}

// Scores at the largest concurrency. A cell that tripped a gate brings no figures.
void ScoreCap(std::span<const record::RequestRecord> requests, cap::RunSummary& summary) {
  std::vector<cap::CapInput> inputs;
  for (const SystemSummary& system : summary.systems) {
    if (system.cells.empty()) continue;
    const CellSummary& cell = system.cells.back();
    summary.cap_concurrency = cell.concurrency;
    cap::CapInput input;
    input.system = system.name;
    inputs.push_back(input);
    if (!cell.invalid.empty() || !cell.utilization.invalid.empty()) continue;
    input.cost = cell.usd_per_million_output_tokens;
    input.accuracy = cell.accuracy;
    input.accuracy_stderr = cell.accuracy_stderr;
    if (cell.tpot_s) input.performance = cell.tpot_s->mean;
    input.item_scores = ItemScores(system.name, cell.concurrency, summary.problems, requests);
    inputs.back() = std::move(input);
  }
  summary.cap = cap::ScoreSystems(inputs);
  summary.accuracy_differences = cap::CompareAccuracies(inputs);
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
  summary.host = DescribeHost(manifest);
  summary.notes = CacheNotes(manifest);
  for (std::string& note : ServerNotes(manifest)) summary.notes.push_back(std::move(note));

  const CostFigures cost(manifest.cost, summary.host);
  for (const SystemDescription& system : manifest.systems) {
    SystemSummary entry = DescribeSystem(system, manifest);
    const metrics::Peaks peaks{summary.host.peak_bandwidth_bytes_per_s, entry.peak_flops_per_s, 1};
    for (const int concurrency : manifest.config.concurrency) {
      const CellFacts facts = SelectCell(system.name, concurrency, requests, passes);
      if (facts.requests.empty()) continue;  // not measured (yet)
      entry.cells.push_back(SummarizeCell(system, concurrency, facts, peaks, cost));
    }
    if (entry.moe_layers > 0) entry.expert_share = ExpertShare(system.name, passes);
    summary.systems.push_back(std::move(entry));
  }
  ScoreCap(requests, summary);
  return summary;
}

Result<cap::RunSummary> SummarizeStored(const Results& results) {
  ASSIGN_OR_RETURN(const auto requests, results.ReadRequests());
  ASSIGN_OR_RETURN(const auto passes, results.ReadPasses());
  return Summarize(results.manifest(), requests, passes);
}

}  // namespace moecap::run
