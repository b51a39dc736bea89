#include "analysis/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "analysis/identity.h"
#include "analysis/price_by_memory.h"
#include "base/fs.h"
#include "base/nearest_word.h"
#include "base/yaml.h"

namespace moecap::analysis {
namespace {

using cap::Comparison;
using cap::SystemSummary;

// A system that was asked for, and its cell once it is chosen.
struct Wanted {
  size_t experiment = 0;
  const SystemSummary* system = nullptr;
  std::optional<double> level;
  const cap::CellSummary* cell = nullptr;
};

Status CheckExperiments(std::span<const StoredExperiment> experiments) {
  if (experiments.empty()) return BadInput("no run is given; name at least one, e.g. moecap compare RUN RUN");
  std::set<std::string> ids;
  for (const StoredExperiment& stored : experiments) {
    if (!ids.insert(stored.manifest.run_id).second)
      return BadInput(fmt::format("{}: the run {} is given twice; name each once", stored.given, stored.manifest.run_id));
    const bool measured = std::ranges::any_of(stored.summary.systems, [](const SystemSummary& s) { return !s.cells.empty(); });
    if (!measured) return BadInput(fmt::format("{}: nothing was measured in this run", stored.given));
  }
  return {};
}

Status CheckBy(const std::vector<std::string>& by) {
  const auto names = MismatchNames();
  for (const std::string& name : by) {
    if (std::ranges::count(names, name) == 0)
      return BadInput(fmt::format("--by {}: choose from {}", name, fmt::join(names, ", ")));
  }
  return {};
}

std::vector<std::string> SystemNames(const StoredExperiment& stored) {
  std::vector<std::string> names;
  for (const SystemSummary& system : stored.summary.systems) names.push_back(system.name);
  return names;
}

Error UnknownSystem(const std::string& flag, const std::string& name, const std::vector<std::string>& known) {
  const std::string nearest = NearestWord(name, known);
  return BadInput(fmt::format("{}: no system \"{}\"; {}choose one of {}", flag, name,
                              nearest.empty() ? "" : fmt::format("did you mean \"{}\"? ", nearest), fmt::join(known, ", ")));
}

// What the names of one run mean, in the order in which they were given.
Status AddNamed(const StoredExperiment& stored, size_t index, const CellName& name, std::vector<Wanted>& wanted) {
  bool any = false;
  for (const SystemSummary& system : stored.summary.systems) {
    if (!name.system.empty() && name.system != system.name) continue;
    any = true;
    const bool there = std::ranges::any_of(wanted, [&](const Wanted& other) {
      return other.experiment == index && other.system == &system && other.level == name.level;
    });
    if (!there) wanted.push_back({index, &system, name.level, nullptr});
  }
  if (!any) return UnknownSystem(stored.given, name.system, SystemNames(stored));
  return {};
}

Result<std::vector<Wanted>> FindWanted(std::span<const StoredExperiment> experiments, const CompareOptions& options) {
  std::vector<Wanted> wanted;
  std::set<std::string> known;
  for (size_t i = 0; i < experiments.size(); ++i) {
    const std::vector<CellName> all = {{}};
    for (const CellName& name : experiments[i].cells.empty() ? all : experiments[i].cells)
      RETURN_IF_ERROR(AddNamed(experiments[i], i, name, wanted));
    for (const std::string& name : SystemNames(experiments[i])) known.insert(name);
  }
  for (const std::string& name : options.systems) {
    if (!known.contains(name)) return UnknownSystem("--system", name, {known.begin(), known.end()});
  }
  if (!options.systems.empty())
    std::erase_if(wanted, [&](const Wanted& one) { return std::ranges::count(options.systems, one.system->name) == 0; });
  if (wanted.empty()) return BadInput("--system: none of these systems is in the runs that were named");
  return wanted;
}

std::string LevelsOf(const std::vector<Wanted>& wanted) {
  std::vector<std::string> labels;
  for (const Wanted& one : wanted) {
    for (const cap::CellSummary& cell : one.system->cells) {
      if (std::ranges::count(labels, cell.label) == 0) labels.push_back(cell.label);
    }
  }
  return fmt::format("{}", fmt::join(labels, ", "));
}

const cap::CellSummary* CellOfValue(const SystemSummary& system, double level) {
  return system.cells.empty() ? nullptr : CellAt(system, {system.cells.front().level.kind, level});
}

// Sets the cells; those that were named with a level must be there, the others meet where most can.
Status ChooseCells(const cap::View& view, bool include_invalid, std::vector<Wanted>& wanted) {
  std::vector<const SystemSummary*> to_meet;
  for (Wanted& one : wanted) {
    if (one.level) {
      one.cell = CellOfValue(*one.system, *one.level);
      if (one.cell == nullptr)
        return BadInput(
            fmt::format("{}@{}: not measured at this level; choose one of {}", one.system->name, *one.level, LevelsOf({one})));
    } else if (view.level) {
      one.cell = CellOfValue(*one.system, *view.level);
    } else if (one.system->search) {
      one.cell = PassingCell(*one.system);
    } else {
      to_meet.push_back(one.system);
    }
  }
  const auto level = MeetingLevel(to_meet, view, include_invalid);
  for (Wanted& one : wanted) {
    if (level && std::ranges::count(to_meet, one.system) != 0 && !one.level) one.cell = CellAt(*one.system, *level);
  }
  for (auto one = wanted.begin(); one != wanted.end();) {  // the same cell by its level and by the level where others meet
    const bool again = one->cell != nullptr && std::ranges::count(wanted.begin(), one, one->cell, &Wanted::cell) != 0;
    one = again ? wanted.erase(one) : one + 1;
  }
  if (std::ranges::any_of(wanted, [](const Wanted& one) { return one.cell != nullptr; })) return {};
  if (view.level)
    return BadInput(fmt::format("no run was measured at level {}; choose one of {}", *view.level, LevelsOf(wanted)));
  return BadInput("none of these systems has a whole measurement, or a level that passed its search");
}

// "F16", "RUN/F16" where names repeat, and the level where levels differ.
std::vector<std::string> LabelsOf(const std::vector<Wanted>& wanted, std::span<const StoredExperiment> experiments) {
  std::map<std::string, std::set<size_t>> runs_of;
  std::set<std::string> levels;
  for (const Wanted& one : wanted) {
    runs_of[one.system->name].insert(one.experiment);
    levels.insert(one.cell->label);
  }
  const bool with_run = std::ranges::any_of(runs_of, [](const auto& entry) { return entry.second.size() > 1; });
  std::vector<std::string> labels;
  for (const Wanted& one : wanted) {
    std::string label = with_run ? experiments[one.experiment].manifest.run_id + "/" + one.system->name : one.system->name;
    if (levels.size() > 1) label += " at " + one.cell->label;
    labels.push_back(std::move(label));
  }
  return labels;
}

Result<size_t> FindBaseline(std::span<const StoredExperiment> experiments, const Comparison& comparison,
                            const std::string& baseline) {
  if (baseline.empty()) return size_t{0};
  const CellName name = ParseCellName(baseline);
  std::vector<std::string> known;
  for (size_t i = 0; i < comparison.cells.size(); ++i) {
    const cap::ComparedCell& cell = comparison.cells[i];
    const StoredExperiment& stored = experiments[cell.experiment];
    if (baseline == cell.label || baseline == cell.system.name) return i;
    const bool is_run = name.run == stored.given || name.run == stored.manifest.run_id;
    const bool is_system = (is_run && (name.system.empty() || name.system == cell.system.name)) ||
                           (name.system.empty() && name.run == cell.system.name);
    if (is_system && (!name.level || *name.level == cell.cell().level.value)) return i;
    known.push_back(cell.label);
  }
  return BadInput(fmt::format("--baseline {}: no such system; choose one of {}", baseline, fmt::join(known, ", ")));
}

// Machines of one name whose cost inputs differ.
void WarnOfPrices(std::span<const Participants> participants, std::vector<std::string>& warnings) {
  std::map<std::string, const experiment::PricedSystem*> machines;
  std::set<std::string> different;
  for (const Participants& one : participants) {
    for (const experiment::PricedSystem* system : one.systems) {
      const bool is_host = system->description.in_process || (system->description.server_here && system->machine.empty());
      const std::string name = is_host ? "this host" : system->machine;
      if (name.empty()) continue;
      const auto [first, is_new] = machines.try_emplace(name, system);
      for (const std::string& key : cost::CostInputKeys()) {
        const auto& a = cost::GetCostInput(first->second->cost, key);
        const auto& b = cost::GetCostInput(system->cost, key);
        if (!is_new && (a.has_value() != b.has_value() || (a && a->value != b->value))) different.insert(name);
      }
    }
  }
  if (different.empty()) return;
  warnings.push_back(
      fmt::format("PRICES: the configurations of the runs price {} differently; costs may differ from that alone.",
                  fmt::join(different, ", ")));
}

std::vector<std::string> Warnings(std::span<const Participants> participants, const Comparison& comparison) {
  std::vector<std::string> warnings;
  for (const cap::Mismatch& mismatch : comparison.mismatches) {
    if (mismatch.intended) continue;
    warnings.push_back(fmt::format("FORCED: the runs differ in {}: {}. Differences between systems may come from that alone.",
                                   mismatch.what, InWords(mismatch, comparison.experiments)));
  }
  std::set<std::string> versions, levels;
  for (const cap::ComparedExperiment& run : comparison.experiments) {
    versions.insert(run.moecap_version);
    if (!run.complete)
      warnings.push_back(
          fmt::format("INCOMPLETE: {} was interrupted; its figures cover what was measured before.", run.run_id));
  }
  for (const cap::ComparedCell& cell : comparison.cells) levels.insert(cell.cell().label);
  if (levels.size() > 1)
    warnings.push_back(
        fmt::format("LEVELS: the systems were measured at different levels ({}); times and rates may differ from "
                    "that alone.",
                    fmt::join(levels, ", ")));
  WarnOfPrices(participants, warnings);
  for (const std::string& sentence : Unchecked(participants)) warnings.push_back("NOT CHECKED: " + sentence + ".");
  if (versions.size() > 1)
    warnings.push_back(fmt::format("VERSIONS: measured with different versions of moecap: {}.", fmt::join(versions, ", ")));
  return warnings;
}

// One experiment is seen as its configuration says.
Result<cap::View> ViewOf(std::span<const StoredExperiment> experiments, const cap::ViewChoice& given) {
  cap::ViewChoice choice = given;
  if (experiments.size() == 1 && given.scenario.empty()) {
    const cap::ViewChoice& own = experiments.front().manifest.config.view;
    choice.scenario = own.scenario;
    if (!choice.cost) choice.cost = own.cost;
    if (!choice.performance) choice.performance = own.performance;
    if (!choice.level) choice.level = own.level;
  }
  const bool has_objectives =
      std::ranges::all_of(experiments, [](const StoredExperiment& stored) { return stored.manifest.config.objectives.Any(); });
  const cap::View view = cap::ResolveView(choice, has_objectives);
  const bool needs = view.performance == cap::FigureId::kGoodput || view.performance == cap::FigureId::kGoodShare;
  if (needs && !has_objectives)
    return BadInput("goodput needs limits to keep in every run; give --limit-ttft-s, --limit-tpot-s or --limit-e2e-s");
  return view;
}

std::vector<Participants> ParticipantsOf(std::span<const StoredExperiment> experiments, const std::vector<Wanted>& wanted) {
  std::vector<Participants> participants;
  for (size_t i = 0; i < experiments.size(); ++i) {
    Participants one{&experiments[i], {}};
    for (const Wanted& system : wanted) {
      const auto* described = experiments[i].manifest.FindSystem(system.system->name);
      if (system.experiment == i && described != nullptr) one.systems.push_back(described);
    }
    participants.push_back(std::move(one));
  }
  return participants;
}

void AddCells(std::span<const StoredExperiment> experiments, std::vector<Wanted> wanted, Comparison& comparison) {
  std::erase_if(wanted, [&](const Wanted& one) {
    if (one.cell != nullptr) return false;
    comparison.warnings.push_back(
        fmt::format("LEFT OUT: {} of {} has no whole measurement at the level at which the others meet.", one.system->name,
                    experiments[one.experiment].manifest.run_id));
    return true;
  });
  const std::vector<std::string> labels = LabelsOf(wanted, experiments);
  for (size_t i = 0; i < wanted.size(); ++i) {
    cap::ComparedCell cell{labels[i], wanted[i].experiment, *wanted[i].system};
    cell.system.cells = {*wanted[i].cell};
    comparison.cells.push_back(std::move(cell));
  }
}

cap::Judgement JudgeCompared(std::span<const StoredExperiment> experiments, const Comparison& comparison, const cap::View& view,
                             bool include_invalid) {
  std::vector<ViewedCell> cells;
  bool same = true;
  for (const cap::ComparedCell& cell : comparison.cells) {
    const experiment::Manifest& manifest = experiments[cell.experiment].manifest;
    const auto* described = manifest.FindSystem(cell.system.name);
    same = same && cell.cell().level == comparison.cells.front().cell().level;
    cells.push_back({cell.label, manifest.run_id, &cell.system, &cell.cell(),
                     described != nullptr ? &described->description.model : nullptr});
  }
  return JudgeCells(cells, view, experiments.front().manifest.config.judge, same ? comparison.cells.front().cell().label : "",
                    include_invalid);
}

}  // namespace

CellName ParseCellName(const std::string& text) {
  CellName name;
  const size_t colon = text.find(':');
  std::string rest = text;
  if (const size_t at = text.find_last_of('@'); at != std::string::npos && at > 0) {
    if (const auto level = ParseNumber(text.substr(at + 1))) {
      name.level = *level;
      rest = text.substr(0, at);
    }
  }
  name.run = rest.substr(0, colon);
  if (colon != std::string::npos && colon < rest.size()) name.system = rest.substr(colon + 1);
  return name;
}

Result<StoredExperiment> ReadStored(experiment::Results results, const std::string& given, std::vector<CellName> cells,
                                    const metrics::LatencyObjectives& objectives, const Summarizer& summarize) {
  if (objectives.Any() && results.manifest().figures_only) {
    return BadInput(
        fmt::format("{} holds figures only, and other limits need its requests: compare the run that it was exported from",
                    results.dir().string()));
  }
  if (objectives.Any()) results.SetObjectives(objectives);
  StoredExperiment stored;
  stored.given = given;
  stored.cells = std::move(cells);
  stored.manifest = results.manifest();
  ASSIGN_OR_RETURN(stored.summary, summarize(results));
  return stored;
}

Result<Comparison> Compare(std::span<const StoredExperiment> given, const CompareOptions& options) {
  RETURN_IF_ERROR(CheckExperiments(given));
  RETURN_IF_ERROR(CheckBy(options.by));
  std::vector<StoredExperiment> priced;
  Comparison comparison;
  // One rule for all in view, whoever asks for it.
  if (std::ranges::any_of(given, [&](const auto& one) { return PricesByMemory(options.judge, one.manifest.config); })) {
    priced.assign(given.begin(), given.end());
    for (StoredExperiment& stored : priced) {
      for (const std::string& note : PriceByMemory(stored.summary))
        comparison.warnings.push_back(fmt::format("PRICES: {}.", note));
    }
  }
  const std::span<const StoredExperiment> experiments = priced.empty() ? given : priced;
  ASSIGN_OR_RETURN(std::vector<Wanted> wanted, FindWanted(experiments, options));
  ASSIGN_OR_RETURN(const cap::View view, ViewOf(experiments, options.choice));
  RETURN_IF_ERROR(ChooseCells(view, options.judge.include_invalid, wanted));
  const std::vector<Participants> participants = ParticipantsOf(experiments, wanted);
  for (const Participants& one : participants) comparison.experiments.push_back(Describe(one));
  comparison.mismatches = FindMismatches(participants, comparison.experiments, options.by);
  std::vector<cap::Mismatch> unintended;
  std::ranges::copy_if(comparison.mismatches, std::back_inserter(unintended),
                       [](const cap::Mismatch& mismatch) { return !mismatch.intended; });
  if (!unintended.empty() && !options.force) return Refusal(unintended, comparison.experiments);
  AddCells(experiments, std::move(wanted), comparison);
  ASSIGN_OR_RETURN(comparison.baseline, FindBaseline(experiments, comparison, options.baseline));
  for (std::string& warning : Warnings(participants, comparison)) comparison.warnings.push_back(std::move(warning));
  comparison.judgement = JudgeCompared(experiments, comparison, view, options.judge.include_invalid);
  return comparison;
}

}  // namespace moecap::analysis
