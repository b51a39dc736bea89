#include "experiment/summarize.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "accuracy/log_likelihood.h"
#include "base/units.h"
#include "base/words.h"
#include "experiment/cell.h"
#include "experiment/load_quality.h"
#include "experiment/search.h"
#include "experiment/speculation_figures.h"

namespace moecap::experiment {
namespace {

using cap::ExperimentSummary;
using cap::SystemSummary;

// Share of each layer's routed tokens that each expert received, over the passes of the system's first repetitions.
class ExpertShares {
 public:
  void Add(std::span<const record::PassRecord> passes) {
    for (const record::PassRecord& pass : passes) {
      share_.resize(std::max(share_.size(), pass.expert_counts.size()));
      for (size_t layer = 0; layer < pass.expert_counts.size(); ++layer) {
        const auto& counts = pass.expert_counts[layer];
        share_[layer].resize(std::max(share_[layer].size(), counts.size()));
        for (size_t expert = 0; expert < counts.size(); ++expert) share_[layer][expert] += counts[expert];
      }
    }
  }
  std::vector<std::vector<double>> Take() && {
    for (auto& layer : share_) {
      double total = 0;
      for (const double tokens : layer) total += tokens;
      for (double& tokens : layer) tokens = total > 0 ? tokens / total : 0;
    }
    return std::move(share_);
  }

 private:
  std::vector<std::vector<double>> share_;
};

// The ceiling of the type that the engine multiplies in. Runs of 0.1 do not tell it: then what that engine did on most CPUs.
const std::optional<hardware::Ceiling>& ComputeCeiling(const model::ModelSpec& model, const hardware::Ceilings& ceilings) {
  if (model.compute_type == "bf16") return ceilings.bf16_flops_per_s;
  if (model.compute_type == "int8") return ceilings.int8_ops_per_s;
  if (model.compute_type == "fp32") return ceilings.fp32_flops_per_s;
  const std::string& type = model.weight_type;
  const bool is_float = type == "F16" || type == "BF16" || type == "F32";
  return is_float ? ceilings.fp32_flops_per_s : ceilings.int8_ops_per_s;
}

// A GPU is no processor, and a server computes elsewhere unless the configuration says otherwise. An engine in this process
// runs here whatever it is priced as.
bool UsesThisProcessor(const PricedSystem& system) {
  const SystemDescription& description = system.description;
  if (description.in_process) return description.devices.gpus.empty();
  return description.server_here && system.machine.empty();
}

// Of the catalogue or a probe, where the system has a machine of its own.
void SetDatasheetPeaks(const MachinePeaks& peaks, cap::MachineSummary& machine) {
  machine.peak_bandwidth_bytes_per_s = peaks.bandwidth_bytes_per_s;
  machine.peak_flops_per_s = peaks.flops_per_s;
  if (peaks.flops_per_s) machine.peak_flops_kernel = "dense " + peaks.dtype;
  machine.peaks_source = peaks.source;
}

// What is known of the hardware under the system.
cap::MachineSummary DescribeMachine(const PricedSystem& system, const Manifest& manifest) {
  cap::MachineSummary machine;
  machine.name = system.machine;
  machine.is_this_host = system.description.RunsHere();
  if (machine.name.empty() && machine.is_this_host) machine.name = "this host: " + manifest.host.cpu_model;
  if (!UsesThisProcessor(system)) SetDatasheetPeaks(system.peaks, machine);
  if (!UsesThisProcessor(system) || !manifest.ceilings) return machine;
  const hardware::Ceilings& ceilings = *manifest.ceilings;
  if (ceilings.read_bytes_per_s) machine.peak_bandwidth_bytes_per_s = ceilings.read_bytes_per_s->best;
  if (const auto& ceiling = ComputeCeiling(system.description.model, ceilings)) {
    machine.peak_flops_per_s = ceiling->best;
    machine.peak_flops_kernel = ceiling->kernel;
  }
  machine.peaks_source = "measured " + ceilings.measured_at;
  return machine;
}

SystemSummary DescribeSystem(const PricedSystem& system, const Manifest& manifest) {
  const SystemDescription& description = system.description;
  SystemSummary summary;
  summary.name = description.name;
  summary.engine = description.engine;
  summary.description = description.description;
  summary.in_process = description.in_process;
  summary.on_gpu = description.in_process && !description.devices.gpus.empty();
  summary.url = description.url;
  summary.api = description.api;
  summary.model_id = description.model.id;
  summary.weight_type = description.model.weight_type;
  if (!description.model.layers.empty()) {
    summary.total_params = description.model.TotalParams();
    summary.active_params = description.model.ActiveParams();
    summary.weight_bytes = description.model.WeightBytes();
    summary.moe_layers = description.model.MoeLayers();
    summary.experts = description.model.Experts();
    summary.top_k = description.model.TopK();
  }
  const auto config = std::ranges::find(manifest.config.systems, description.name, &SystemConfig::name);
  if (config != manifest.config.systems.end()) summary.meant_as = config->meant_as;
  summary.machine = DescribeMachine(system, manifest);
  return summary;
}

cap::SearchSummary DescribeSearch(const Config& config, const load::SloSearchResult& found) {
  cap::SearchSummary search;
  search.what = config.load.kind == record::LoadKind::kRate ? "requests/s" : std::string(Name(config.load.kind));
  search.target_share = config.search->target_share;
  search.confidence = config.search->confidence;
  search.passes = found.passes;
  search.fails = found.fails;
  search.verdict = found.verdict;
  for (const load::SloProbe& probe : found.probes) {
    cap::SearchSummary::Probe entry;
    entry.level = probe.load;
    entry.offered = probe.offered;
    entry.met = probe.met;
    if (probe.share) {
      entry.share_low = probe.share->interval.low;
      entry.share_high = probe.share->interval.high;
    }
    entry.verdict = probe.verdict == load::Verdict::kPass   ? "passes"
                    : probe.verdict == load::Verdict::kFail ? "fails"
                                                            : "undecided";
    search.probes.push_back(std::move(entry));
  }
  return search;
}

// The measurements of one system, by level and repetition, their facts not yet read.
std::map<double, std::vector<MeasuredFacts>> MeasurementsOf(const Manifest& manifest, const std::string& system) {
  std::map<double, std::vector<MeasuredFacts>> levels;
  for (const Measurement& measurement : manifest.measurements) {
    if (measurement.system == system) levels[measurement.level.value].push_back({&measurement, {}});
  }
  for (auto& [level, measurements] : levels) {
    std::ranges::stable_sort(measurements, {}, [](const MeasuredFacts& m) { return m.measurement->repeat; });
  }
  return levels;
}

bool ComparesChoices(const Config& config) {
  return config.problems && config.problems->scoring && config.problems->scoring->task->name == accuracy::kLikelihoodTask;
}

// An engine in this process always takes the likeliest token.
bool IsGreedy(const Config& config, const std::string& system) {
  const auto found = std::ranges::find(config.systems, system, &SystemConfig::name);
  return found != config.systems.end() && (!found->server || found->server->temperature == 0);
}

// One level's facts at a time are in memory.
Status SummarizeCells(const Results& results, const PricedSystem& system, SystemSummary& summary) {
  const Manifest& manifest = results.manifest();
  const metrics::Peaks peaks{summary.machine.peak_bandwidth_bytes_per_s, summary.machine.peak_flops_per_s, 1};
  const CostFigures cost(system.cost, system.pay, manifest.energy_source, {}, summary.machine);
  const std::string usual = UsualAnswer(manifest, summary.name);
  auto levels = MeasurementsOf(manifest, summary.name);
  MeteredTime metered;
  ExpertShares shares;
  LoadQuality quality(manifest.config.judge.accuracy_margin, IsGreedy(manifest.config, summary.name),
                      ComparesChoices(manifest.config));
  for (auto& [level, measurements] : levels) {
    for (MeasuredFacts& measured : measurements) {
      ASSIGN_OR_RETURN(measured.facts, results.ReadFacts(*measured.measurement));
      if (measured.measurement->repeat == 0) shares.Add(measured.facts.records.passes);
    }
    AddMeteredTime(measurements, metered);
    summary.cells.push_back(SummarizeCell({manifest, system, peaks, cost, usual}, measurements));
    if (manifest.problems > 0) quality.Judge(measurements, summary.cells.back());
    for (MeasuredFacts& measured : measurements) measured.facts = {};
  }
  summary.expert_share = std::move(shares).Take();
  // The words of the machine say what was metered.
  CostFigures(system.cost, system.pay, manifest.energy_source, metered.Power(), summary.machine);
  return {};
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Weights that stay in the last cache between passes need no DRAM traffic.
void AddCacheNotes(const Manifest& manifest, std::vector<std::string>& notes) {
  const std::optional<double>& cache_bytes = manifest.host.last_level_cache_bytes;
  std::vector<std::string> inside;
  for (const PricedSystem& system : manifest.systems) {
    const bool is_here = UsesThisProcessor(system) && !system.description.model.layers.empty();
    if (is_here && (!cache_bytes || system.description.model.WeightBytes() <= *cache_bytes))
      inside.push_back(system.description.name);
  }
  if (inside.empty()) return;
  notes.push_back(
      !cache_bytes
          ? fmt::format("{}: whether the weights fit the last-level cache is not known, since this system does not tell its "
                        "size; if they do, S-MBU counts bytes that DRAM need not deliver",
                        Join(inside))
          : fmt::format("{}: the weights fit into the last-level cache ({}), so S-MBU counts bytes that DRAM need not "
                        "deliver; it compares systems, but it is no distance to the hardware limit",
                        Join(inside), FormatBytes(*cache_bytes)));
}

void AddGpuNotes(const Manifest& manifest, std::vector<std::string>& notes) {
  for (const PricedSystem& system : manifest.systems) {
    if (system.description.devices.gpus.empty() || system.peaks.bandwidth_bytes_per_s) continue;
    notes.push_back(fmt::format(
        "{}: computes on {}, whose ceilings were not measured: S-MBU and S-MFU are not known; give its price and power with "
        "`machine` or `cost`",
        system.description.name, Join(system.description.devices.gpus)));
  }
}

// What this machine knows of a server elsewhere is the client's side only.
void AddServerNotes(const Manifest& manifest, std::vector<std::string>& notes) {
  std::vector<std::string> servers;
  for (const PricedSystem& system : manifest.systems) {
    const bool is_known = system.description.server_here || !system.machine.empty();
    if (!system.description.in_process && !(is_known && !system.description.model.layers.empty()))
      servers.push_back(system.description.name);
  }
  if (servers.empty()) return;
  notes.push_back(
      fmt::format("{}: a server, and this host is its client. Cost and energy are known only where `machine` or `cost` "
                  "describe the server's "
                  "machine, and S-MBU and S-MFU where its `model` is given besides",
                  Join(servers)));
}

void AddNotes(const Manifest& manifest, ExperimentSummary& summary) {
  summary.notes = manifest.notes;
  const bool any_here = std::ranges::any_of(manifest.systems, UsesThisProcessor);
  if (any_here && manifest.ceilings) {
    for (const std::string& note : manifest.ceilings->notes) summary.notes.push_back("ceilings of this machine: " + note);
  }
  AddCacheNotes(manifest, summary.notes);
  AddGpuNotes(manifest, summary.notes);
  AddServerNotes(manifest, summary.notes);
  for (const SystemSummary& system : summary.systems) {
    for (const cap::CellSummary& cell : system.cells) {
      for (const std::string& note : cell.notes) {
        const std::string where = summary.systems.size() > 1 ? fmt::format("{}, {}", system.name, cell.label) : cell.label;
        summary.notes.push_back(fmt::format("{}: {}", where, note));
      }
    }
  }
}

std::string OrderInWords(const Config& config) {
  if (config.systems.size() < 2 && config.load.levels.size() < 2) return "";
  if (MeasuresInTurn(config))
    return fmt::format("systems in turn, each with all its levels, at random within a repetition, seed {}", config.seed);
  return fmt::format("systems and levels interleaved at random, seed {}", config.seed);
}

}  // namespace

Result<ExperimentSummary> Summarize(const Results& results) {
  const Manifest& manifest = results.manifest();
  const Config& config = manifest.config;
  ExperimentSummary summary;
  summary.run_id = manifest.run_id;
  summary.started_at = manifest.started_at;
  summary.moecap_version = manifest.moecap_version;
  summary.name = config.name;
  summary.command = ShellLine(manifest.command);
  summary.complete = manifest.complete;
  summary.workload = manifest.workload;
  summary.problems = manifest.problems;
  if (config.problems) {
    summary.dataset = config.problems->Name();
    summary.scoring_contract = ScoringName(config.problems->scoring);
    if (config.problems->pass_at > 1) summary.scoring_contract += fmt::format(", pass@{}", config.problems->pass_at);
  }
  summary.load = DescribeLoad(config);
  if (manifest.layout == Manifest::Layout::kExperiment) summary.order = OrderInWords(config);
  summary.objectives = config.objectives;
  summary.host = {manifest.host.cpu_model, manifest.host.UsableThreads(), manifest.host.dram_bytes, ""};
  const bool any_server =
      std::ranges::any_of(manifest.systems, [](const PricedSystem& s) { return !s.description.in_process; });
  if (any_server) {
    summary.host.client =
        fmt::format("{} thread{} drove the servers", config.client_threads, config.client_threads == 1 ? "" : "s");
  }
  for (const PricedSystem& system : manifest.systems) {
    SystemSummary entry = DescribeSystem(system, manifest);
    RETURN_IF_ERROR(SummarizeCells(results, system, entry));
    if (config.search && manifest.complete) {
      const auto refuse = [&](double level, int repeat) -> Status {
        if (results.Find(entry.name, {config.load.kind, level}, repeat) != nullptr) return {};
        return BadInput(fmt::format("{}: the search's measurement at {} is missing", results.dir().string(), level));
      };
      ASSIGN_OR_RETURN(const load::SloSearchResult found, Search(results, entry.name, refuse));
      entry.search = DescribeSearch(config, found);
    }
    summary.systems.push_back(std::move(entry));
  }
  FillSpeedUps(config, summary.systems);
  AddNotes(manifest, summary);
  return summary;
}

}  // namespace moecap::experiment
