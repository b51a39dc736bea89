#include "analysis/judge.h"

#include <algorithm>
#include <utility>

#include "analysis/figure_limits.h"
#include "analysis/price_by_memory.h"

namespace moecap::analysis {
namespace {

using cap::CellSummary;
using cap::FigureId;
using cap::SystemSummary;

bool IsUsable(const CellSummary& cell, bool include_invalid) { return cell.repeats > 0 && (include_invalid || cell.IsValid()); }

// What an hour or a purchase costs is known beforehand, and so is a nameplate's power.
bool IsExact(FigureId figure, const CellSummary& cell) {
  if (figure == FigureId::kPurchase || figure == FigureId::kUsdPerHour || figure == FigureId::kMemoryUsd) return true;
  return figure == FigureId::kPower && !cell.energy_is_metered;
}

cap::Series SeriesOf(const CellSummary& cell, FigureId figure, bool include_invalid) {
  cap::Series series;
  series.value = cell.figures[figure];
  series.exact = IsExact(figure, cell);
  for (const cap::MeasurementSummary& measurement : cell.measurements) {
    if (!measurement.complete || (!include_invalid && !measurement.IsValid())) continue;
    const auto index = static_cast<size_t>(measurement.repeat);
    if (series.by_repetition.size() <= index) series.by_repetition.resize(index + 1);
    series.by_repetition[index] = measurement.figures[figure];
  }
  return series;
}

cap::AxisWords WordsOf(FigureId id) {
  const cap::Figure& figure = cap::FigureOf(id);
  return {std::string(figure.name), std::string(figure.unit), figure.better == cap::Better::kHigher};
}

// Scores are relative to the systems in view, so one that takes no part must not move them.
std::optional<std::vector<cap::PaperScore>> ScoresOf(std::vector<cap::Evidence> evidence, const cap::JudgeOptions& options) {
  if (evidence.size() < 2) return std::nullopt;
  for (cap::Evidence& system : evidence) {
    if (system.tripped.empty() || options.include_invalid) continue;
    system.cost.value = system.performance.value = system.accuracy = std::nullopt;
  }
  cap::PaperScoreOptions score_options;
  score_options.performance_higher_is_better = options.performance.higher_is_better;
  return cap::PaperScores(evidence, score_options);
}

std::vector<cap::FigureLimit> LimitsInView(std::span<const ViewedCell> cells, const cap::View& view) {
  std::vector<const model::ModelSpec*> models;
  for (const ViewedCell& cell : cells) {
    if (cell.model != nullptr) models.push_back(cell.model);
  }
  const auto work = CommonWork(models);
  if (!work) return {};
  std::vector<cap::FigureLimit> limits = BuiltinLimits(*work);
  std::erase_if(limits,
                [&](const cap::FigureLimit& limit) { return limit.figure != view.cost && limit.figure != view.performance; });
  return limits;
}

// Systems with a usable cell first, then those with a whole one.
std::pair<size_t, size_t> Met(std::span<const SystemSummary* const> systems, const record::Level& level, bool include_invalid) {
  std::pair<size_t, size_t> met;
  for (const SystemSummary* system : systems) {
    const CellSummary* cell = CellAt(*system, level);
    if (cell == nullptr) continue;
    ++met.second;
    if (IsUsable(*cell, include_invalid)) ++met.first;
  }
  return met;
}

// The cells in which the systems are seen, and what their level is called.
std::vector<ViewedCell> ChooseCells(const cap::ExperimentSummary& summary, const experiment::Manifest& manifest,
                                    const cap::View& view, bool include_invalid, std::string& level_label) {
  std::vector<const SystemSummary*> systems;
  for (const SystemSummary& system : summary.systems) systems.push_back(&system);
  const auto kind = manifest.config.load.kind;
  const auto level =
      view.level ? std::optional(record::Level{kind, *view.level}) : MeetingLevel(systems, view, include_invalid);
  std::vector<ViewedCell> cells;
  bool same = true;
  for (const SystemSummary* system : systems) {
    const bool searched = system->search && !view.level;
    const CellSummary* cell = searched ? PassingCell(*system) : level ? CellAt(*system, *level) : nullptr;
    if (cell == nullptr) continue;
    const experiment::PricedSystem* described = manifest.FindSystem(system->name);
    same = same && (cells.empty() || cells.front().cell->level == cell->level);
    cells.push_back(
        {system->name, summary.run_id, system, cell, described != nullptr ? &described->description.model : nullptr});
  }
  level_label = same && !cells.empty() ? cells.front().cell->label : "";
  return cells;
}

}  // namespace

bool PricesByMemory(const JudgeChoice& choice, const experiment::Config& config) {
  return choice.price_by_memory || config.judge.price_by_memory;
}

cap::Evidence EvidenceOf(const ViewedCell& viewed, const cap::View& view, bool include_invalid) {
  const CellSummary& cell = *viewed.cell;
  cap::Evidence evidence;
  evidence.label = viewed.label;
  evidence.experiment = viewed.experiment;
  evidence.cost = SeriesOf(cell, view.cost, include_invalid);
  evidence.performance = SeriesOf(cell, view.performance, include_invalid);
  for (const cap::ProblemScore& item : cell.items) evidence.items.push_back({item.id, item.score});
  evidence.accuracy = cell.figures[FigureId::kAccuracy];
  evidence.usd_per_h = viewed.system->machine.usd_per_h;
  evidence.purchase_usd = viewed.system->machine.purchase_usd;
  // Where systems are seen by the price of the memory that they need, that is what is bought.
  if (view.cost == FigureId::kMemoryUsd) {
    evidence.purchase_usd = cell.figures[FigureId::kMemoryUsd];
    evidence.usd_per_h = std::nullopt;
  }
  evidence.meant_as = viewed.system->meant_as;
  for (const metrics::Gate& gate : cell.gates) {
    if (gate.tripped()) evidence.tripped.push_back(gate.name);
  }
  return evidence;
}

cap::Judgement JudgeCells(std::span<const ViewedCell> cells, const cap::View& view, const experiment::JudgeConfig& margins,
                          const std::string& level, bool include_invalid) {
  cap::Judgement judgement;
  judgement.view = view;
  judgement.level = level;
  judgement.options.cost = WordsOf(view.cost);
  judgement.options.performance = WordsOf(view.performance);
  judgement.options.ratio_margin = margins.ratio_margin;
  judgement.options.accuracy_margin = margins.accuracy_margin;
  judgement.options.include_invalid = include_invalid;
  for (const ViewedCell& cell : cells) judgement.evidence.push_back(EvidenceOf(cell, view, include_invalid));
  judgement.verdicts = cap::Judge(judgement.evidence, judgement.options);
  judgement.paper_scores = ScoresOf(judgement.evidence, judgement.options);
  judgement.limits = LimitsInView(cells, view);
  return judgement;
}

std::optional<record::Level> MeetingLevel(std::span<const SystemSummary* const> systems, const cap::View& view,
                                          bool include_invalid) {
  std::vector<record::Level> levels;
  for (const SystemSummary* system : systems) {
    for (const CellSummary& cell : system->cells) levels.push_back(cell.level);
  }
  const bool lowest = view.rule == cap::LevelRule::kLowest;
  std::ranges::stable_sort(
      levels, [&](const record::Level& a, const record::Level& b) { return lowest ? a.value < b.value : a.value > b.value; });
  std::optional<record::Level> best;
  std::pair<size_t, size_t> most;
  for (const record::Level& level : levels) {
    const auto met = Met(systems, level, include_invalid);
    if (met <= most) continue;
    best = level;
    most = met;
  }
  return best;
}

const CellSummary* CellAt(const SystemSummary& system, const record::Level& level) {
  const CellSummary* cell = cap::FindCell(system, level);
  return cell != nullptr && cell->repeats > 0 ? cell : nullptr;
}

const CellSummary* PassingCell(const SystemSummary& system) {
  if (!system.search || !system.search->passes || system.cells.empty()) return nullptr;
  return CellAt(system, {system.cells.front().level.kind, *system.search->passes});
}

cap::JudgedExperiment JudgeExperiment(cap::ExperimentSummary summary, const experiment::Manifest& manifest,
                                      const JudgeChoice& choice) {
  if (PricesByMemory(choice, manifest.config)) {
    for (std::string& note : PriceByMemory(summary)) summary.notes.push_back(std::move(note));
  }
  cap::JudgedExperiment judged;
  judged.summary = std::move(summary);
  const experiment::Config& config = manifest.config;
  const cap::View view = cap::ResolveView(config.view, config.objectives.Any());
  std::string level;
  const auto cells = ChooseCells(judged.summary, manifest, view, choice.include_invalid, level);
  judged.judgement = JudgeCells(cells, view, config.judge, level, choice.include_invalid);
  return judged;
}

Result<cap::JudgedExperiment> JudgeStored(const experiment::Results& results, const JudgeChoice& choice,
                                          const Summarizer& summarize) {
  ASSIGN_OR_RETURN(cap::ExperimentSummary summary, summarize(results));
  return JudgeExperiment(std::move(summary), results.manifest(), choice);
}

}  // namespace moecap::analysis
