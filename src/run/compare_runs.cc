#include "run/compare_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/units.h"
#include "cap/compare.h"
#include "cost/prices.h"
#include "run/axis_limits.h"
#include "run/measured_system.h"
#include "run/summarize.h"

namespace moecap::run {
namespace {

using cap::Candidate;
using cap::Comparison;

constexpr const char* kHardware = "hardware";
constexpr const char* kModel = "model";
constexpr const char* kDataset = "dataset";
constexpr const char* kContract = "contract";

std::string Joined(const std::set<std::string>& texts) { return fmt::format("{}", fmt::join(texts, ", ")); }

std::string ModelsOf(const StoredRun& run) {
  std::set<std::string> models;
  for (const SystemDescription& system : run.manifest.systems) models.insert(ModelIdentity(system.model));
  return Joined(models);
}

// FNV-1a, 64 bits.
uint64_t Mix(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// The file's name, how its problems were picked, and a hash of the problems' ids: the same problems from another folder are the
// same data set.
std::string DatasetOf(const StoredRun& run) {
  std::set<std::string> ids;
  for (const auto& request : run.requests) ids.insert(request.id);
  uint64_t hash = 0xcbf29ce484222325u;
  for (const std::string& id : ids) hash = Mix(Mix(hash, id), "\n");
  const RunConfig& config = run.manifest.config;
  const std::string seed = config.dataset_seed ? fmt::format(", seed {}", *config.dataset_seed) : "";
  return fmt::format("{}, {} problems{} (ids {:08x})", config.dataset.filename().string(), run.manifest.problems, seed,
                     static_cast<uint32_t>(hash ^ (hash >> 32)));
}

std::string ContractOf(const StoredRun& run) {
  const RunConfig& config = run.manifest.config;
  return fmt::format("{}, at most {} output tokens, context of {}", ScoringName(config.scoring), config.max_output_tokens,
                     config.context_tokens);
}

// The words of a machine; two machines of equal words may still differ, which HostFingerprint tells.
std::string HardwareWords(const StoredRun& run) {
  const hardware::HostInfo& host = run.manifest.host;
  return fmt::format("{}, {} of {} CPUs, {} DRAM", host.cpu_model.empty() ? "processor not told" : host.cpu_model,
                     host.UsableThreads(), host.logical_cpus, host.dram_bytes ? FormatBytes(*host.dram_bytes) : "unknown");
}

cap::ComparedRun DescribeRun(const StoredRun& run) {
  cap::ComparedRun described;
  described.run_id = run.manifest.run_id;
  described.started_at = run.manifest.started_at;
  described.moecap_version = run.manifest.moecap_version;
  described.engine = run.summary.engine;
  described.model = ModelsOf(run);
  described.dataset = DatasetOf(run);
  described.contract = ContractOf(run);
  described.hardware = HardwareWords(run);
  described.complete = run.manifest.complete;
  return described;
}

struct Respect {
  const char* name;
  std::string (*identity)(const StoredRun& run);  // equal = the same
  std::string cap::ComparedRun::*words;           // what is printed
  const char* why;                                // it matters
};

const Respect kRespects[] = {
    {kModel, ModelsOf, &cap::ComparedRun::model, "accuracy and speed are those of the model"},
    {kDataset, DatasetOf, &cap::ComparedRun::dataset, "accuracy, lengths and so speed depend on the problems"},
    {kContract, ContractOf, &cap::ComparedRun::contract, "accuracy depends on how answers are bounded and scored"},
    {kHardware, [](const StoredRun& run) { return hardware::HostFingerprint(run.manifest.host); }, &cap::ComparedRun::hardware,
     "times and costs are those of the machine"},
};

std::vector<cap::Mismatch> FindMismatches(std::span<const StoredRun> runs, const std::vector<cap::ComparedRun>& described,
                                          const std::vector<std::string>& by) {
  std::vector<cap::Mismatch> mismatches;
  for (const Respect& respect : kRespects) {
    std::set<std::string> identities;
    cap::Mismatch mismatch{respect.name, {}, std::count(by.begin(), by.end(), respect.name) != 0};
    std::set<std::string> words;
    for (size_t i = 0; i < runs.size(); ++i) {
      identities.insert(respect.identity(runs[i]));
      mismatch.values.push_back(described[i].*respect.words);
      words.insert(mismatch.values.back());
    }
    if (identities.size() < 2) continue;
    if (words.size() < 2) {  // told apart by more than the words say
      for (size_t i = 0; i < runs.size(); ++i) mismatch.values[i] = respect.identity(runs[i]);
    }
    mismatches.push_back(std::move(mismatch));
  }
  return mismatches;
}

std::string InWords(const cap::Mismatch& mismatch, const std::vector<cap::ComparedRun>& runs) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < runs.size(); ++i) parts.push_back(fmt::format("{} has {}", runs[i].run_id, mismatch.values[i]));
  return fmt::format("{}", fmt::join(parts, "; "));
}

Error Refusal(const std::vector<cap::Mismatch>& unintended, const std::vector<cap::ComparedRun>& runs) {
  std::vector<std::string> names, parts;
  for (const cap::Mismatch& mismatch : unintended) {
    const auto respect = std::find_if(std::begin(kRespects), std::end(kRespects),
                                      [&](const Respect& candidate) { return mismatch.what == candidate.name; });
    names.push_back(mismatch.what);
    parts.push_back(fmt::format("{}: {} ({})", mismatch.what, InWords(mismatch, runs), respect->why));
  }
  return BadInput(fmt::format(
      "the runs differ in {}, so their systems would not be compared alike. {}. Pass --by {} if that is what you want to "
      "compare, or --force to compare them all the same",
      fmt::join(names, " and "), fmt::join(parts, ". "), fmt::join(names, ",")));
}

Status CheckRuns(std::span<const StoredRun> runs) {
  if (runs.empty()) return BadInput("no run is given; name at least one, e.g. moecap compare RUN RUN");
  std::set<std::string> ids;
  for (const StoredRun& run : runs) {
    if (!ids.insert(run.manifest.run_id).second)
      return BadInput(fmt::format("{}: the run {} is given twice; name each once", run.given, run.manifest.run_id));
    if (run.summary.systems.empty() || run.requests.empty())
      return BadInput(fmt::format("{}: nothing was measured in this run", run.given));
  }
  return {};
}

Status CheckBy(const std::vector<std::string>& by) {
  const auto names = MismatchNames();
  for (const std::string& name : by) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      return BadInput(fmt::format("--by {}: choose from {}", name, fmt::join(names, ", ")));
  }
  return {};
}

// Names of systems where they differ among all runs, else RUN/SYSTEM.
bool NamesRepeat(std::span<const StoredRun> runs) {
  std::set<std::string> names;
  for (const StoredRun& run : runs) {
    for (const auto& system : run.summary.systems) {
      if (!names.insert(system.name).second) return true;
    }
  }
  return false;
}

Candidate MakeCandidate(const StoredRun& run, const cap::SystemSummary& system, int concurrency, bool with_run) {
  const cap::CellSummary* cell = FindCell(system, concurrency);
  Candidate candidate;
  cap::ComparedSystem& identity = candidate.identity;
  identity.run_id = run.manifest.run_id;
  identity.system = system.name;
  identity.description = system.description;
  identity.model_id = system.model_id;
  identity.weight_type = system.weight_type;
  identity.host = HardwareWords(run);
  identity.concurrency = concurrency;
  if (cell == nullptr) {
    identity.invalid.push_back(fmt::format("not measured at concurrency {}", concurrency));
  } else {
    identity.invalid = cell->invalid;
    identity.invalid.insert(identity.invalid.end(), cell->utilization.invalid.begin(), cell->utilization.invalid.end());
  }
  candidate.measured = MeasureSystem(run.summary, system, cell, run.requests);
  if (with_run) candidate.measured.label = identity.run_id + "/" + system.name;
  return candidate;
}

// "RUN", "RUN:SYSTEM" or "SYSTEM".
Result<size_t> FindBaseline(std::span<const StoredRun> runs, const std::vector<Candidate>& candidates,
                            const std::string& baseline) {
  if (baseline.empty()) return size_t{0};
  std::vector<std::string> known;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const cap::ComparedSystem& system = candidates[i].identity;
    const auto run = std::find_if(runs.begin(), runs.end(),
                                  [&](const StoredRun& candidate) { return candidate.manifest.run_id == system.run_id; });
    for (const std::string& name : {run->given, system.run_id}) {
      if (baseline == name || baseline == name + ":" + system.system) return i;
    }
    if (baseline == system.system) return i;
    known.push_back(system.run_id + ":" + system.system);
  }
  return BadInput(fmt::format("--baseline {}: no such system; choose one of {}", baseline, fmt::join(known, ", ")));
}

Status CheckConcurrency(const std::vector<Candidate>& candidates, int concurrency, std::span<const StoredRun> runs) {
  const auto& measured = candidates;
  const bool any = std::any_of(measured.begin(), measured.end(), [](const Candidate& candidate) {
    return !candidate.measured.problems.empty() || candidate.identity.invalid.empty();
  });
  if (any) return {};
  std::set<int> known;
  for (const StoredRun& run : runs) {
    for (const auto& system : run.summary.systems) {
      for (const auto& cell : system.cells) known.insert(cell.concurrency);
    }
  }
  if (known.contains(concurrency)) return {};  // measured, but not valid: shown with the reason
  return BadInput(fmt::format("no run was measured at concurrency {}; choose one of {}", concurrency, fmt::join(known, ", ")));
}

cap::AxisLimits LimitsFor(std::span<const StoredRun> runs) {
  std::vector<const model::ModelSpec*> models;
  for (const StoredRun& run : runs) {
    for (const SystemDescription& system : run.manifest.systems) models.push_back(&system.model);
  }
  return BuiltinAxisLimits(CommonWork(models));
}

// The tier of the decision matrix, where all runs are of one.
void SetTier(std::span<const StoredRun> runs, cap::CompareOptions& options) {
  std::set<std::string> tiers;
  for (const StoredRun& run : runs) tiers.insert(cost::IsServer(run.manifest.host) ? "datacenter" : "workstation");
  if (tiers.size() != 1) return;
  options.tier = *tiers.begin();
  options.tier_source = options.tier == "datacenter" ? "a server processor or a virtual machine" : "a desktop processor";
}

// What the configuration says of prices.
std::string PricesOf(const StoredRun& run) {
  const Json config = ToJson(run.manifest.config);
  return DumpJson({config["cost"], config["machine"], config["price_book"], config["pay"]});
}

std::vector<std::string> Warnings(std::span<const StoredRun> runs, const Comparison& comparison) {
  std::vector<std::string> warnings;
  for (const cap::Mismatch& mismatch : comparison.mismatches) {
    if (mismatch.intended) continue;
    warnings.push_back(fmt::format("FORCED: the runs differ in {}: {}. Differences between systems may come from that alone.",
                                   mismatch.what, InWords(mismatch, comparison.runs)));
  }
  for (const cap::ComparedRun& run : comparison.runs) {
    if (!run.complete)
      warnings.push_back(
          fmt::format("INCOMPLETE: {} was interrupted; its figures cover what was measured before.", run.run_id));
  }
  std::set<std::string> prices;
  for (const StoredRun& run : runs) prices.insert(PricesOf(run));
  if (prices.size() > 1)
    warnings.push_back(
        "PRICES: the configurations of the runs price their machines differently; costs may differ from that alone.");
  return warnings;
}

void AddNotes(std::span<const StoredRun> runs, Comparison& comparison) {
  std::set<std::string> versions, engines;
  for (const cap::ComparedRun& run : comparison.runs) {
    versions.insert(run.moecap_version);
    engines.insert(run.engine);
  }
  if (versions.size() > 1) comparison.notes.push_back("measured with different versions of moecap: " + Joined(versions));
  for (const cap::Mismatch& mismatch : comparison.mismatches) {
    if (mismatch.intended)
      comparison.notes.push_back(fmt::format("compared by {}: {}", mismatch.what, InWords(mismatch, comparison.runs)));
  }
  std::set<std::string> models;
  for (const StoredRun& run : runs) {
    for (const SystemDescription& system : run.manifest.systems) models.insert(ModelIdentity(system.model));
  }
  if (models.size() > 1) comparison.notes.push_back("the systems serve different models: " + Joined(models));
  comparison.notes.push_back("intervals are for one pair at a time: with many systems some differ from the baseline by chance");
}

}  // namespace

std::vector<std::string> MismatchNames() { return {kHardware, kModel, kDataset, kContract}; }

Result<StoredRun> ReadStoredRun(const Results& results, const std::string& given, const cap::ServiceLevel& service_level) {
  StoredRun run;
  run.given = given;
  run.manifest = results.manifest();
  if (!service_level.empty()) run.manifest.config.cap.service_level = service_level;
  ASSIGN_OR_RETURN(run.requests, results.ReadRequests());
  ASSIGN_OR_RETURN(const auto passes, results.ReadPasses());
  run.summary = Summarize(run.manifest, run.requests, passes);
  return run;
}

Result<Comparison> CompareRuns(std::span<const StoredRun> runs, const CompareRunsOptions& options) {
  RETURN_IF_ERROR(CheckRuns(runs));
  RETURN_IF_ERROR(CheckBy(options.by));
  std::vector<cap::ComparedRun> described;
  for (const StoredRun& run : runs) described.push_back(DescribeRun(run));
  auto mismatches = FindMismatches(runs, described, options.by);
  std::vector<cap::Mismatch> unintended;
  std::copy_if(mismatches.begin(), mismatches.end(), std::back_inserter(unintended),
               [](const cap::Mismatch& mismatch) { return !mismatch.intended; });
  if (!unintended.empty() && !options.force) return Refusal(unintended, described);

  cap::CompareOptions compare;
  compare.view = cap::ResolveView(options.choice);
  compare.normalisation = options.normalisation;
  compare.limits = LimitsFor(runs);
  compare.matrix = cap::BuiltinDecisionMatrix();
  SetTier(runs, compare);
  const auto& axes = compare.view.axes;
  const bool has_level =
      std::any_of(runs.begin(), runs.end(), [](const StoredRun& run) { return !run.summary.service_level.empty(); });
  if (std::count(axes.begin(), axes.end(), cap::AxisId::kGoodput) != 0 && !has_level)
    return BadInput("goodput needs limits to keep; give --limit-ttft-s, --limit-tpot-s or --limit-e2e-s");
  std::vector<const cap::RunSummary*> summaries;
  for (const StoredRun& run : runs) summaries.push_back(&run.summary);
  const int concurrency = ChooseConcurrency(summaries, compare.view);
  std::vector<Candidate> candidates;
  const bool with_run = NamesRepeat(runs);
  for (const StoredRun& run : runs) {
    for (const auto& system : run.summary.systems) candidates.push_back(MakeCandidate(run, system, concurrency, with_run));
  }
  RETURN_IF_ERROR(CheckConcurrency(candidates, concurrency, runs));
  ASSIGN_OR_RETURN(compare.baseline, FindBaseline(runs, candidates, options.baseline));
  Comparison comparison = cap::CompareSystems(std::move(candidates), compare);
  comparison.runs = std::move(described);
  comparison.mismatches = std::move(mismatches);
  comparison.warnings = Warnings(runs, comparison);
  AddNotes(runs, comparison);
  return comparison;
}

}  // namespace moecap::run
