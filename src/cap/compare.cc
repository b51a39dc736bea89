#include "cap/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"
#include "base/units.h"
#include "cap/pareto.h"
#include "stats/summary.h"

namespace moecap::cap {
namespace {

constexpr double kBestScore = 100;

stats::Interval Central(std::vector<double> values, double confidence) {
  std::sort(values.begin(), values.end());
  const double tail = (1 - confidence) / 2;
  return {stats::Quantile(values, tail), stats::Quantile(values, 1 - tail)};
}

// Where the interval of a figure comes from, or why it has none.
std::string NoiseInWords(const MeasuredSystem& system, AxisId axis, bool known) {
  switch (NoiseSourceOf(axis)) {
    case NoiseSource::kNone:
      return axis == AxisId::kSMbu || axis == AxisId::kSMfu ? "noise not estimated" : "a fixed figure";
    case NoiseSource::kProblems:
      return known ? fmt::format("{} problems", system.problems.size()) : "fewer than two problems";
    case NoiseSource::kRequests: {
      if (!known) return "fewer than two requests";
      size_t requests = 0;
      for (const ProblemSample& problem : system.problems) requests += problem.e2e_s.size();
      return fmt::format("{} requests, {}", requests,
                         system.repeats.size() == 1 ? "one repetition: drift not known"
                                                    : fmt::format("{} repetitions", system.repeats.size()));
    }
    case NoiseSource::kRepeats:
      if (known) return fmt::format("{} repetitions", system.repeats.size());
      return system.repeats.size() == 1 ? "one repetition" : "repetitions not known";
  }
  return "";
}

bool IsFixed(AxisId axis) {
  return NoiseSourceOf(axis) == NoiseSource::kNone && axis != AxisId::kSMbu && axis != AxisId::kSMfu;
}

// Whether the difference is too small to matter, however certain it is.
bool WithinMargin(AxisId axis, double value, double baseline, const ScoreOptions& options) {
  if (AxisOf(axis).dimension == Dimension::kAccuracy) return std::abs(value - baseline) < options.accuracy_margin;
  const double low = std::min(std::abs(value), std::abs(baseline));
  const double high = std::max(std::abs(value), std::abs(baseline));
  return high <= low * options.meaningful_ratio;
}

Verdict Judge(AxisId axis, const ComparedFigure& figure, double baseline, const ScoreOptions& options) {
  const double difference = *figure.difference;
  if (difference == 0 && IsFixed(axis)) return Verdict::kWithinNoise;
  if (!figure.difference_interval && !IsFixed(axis)) return Verdict::kNotKnown;
  const bool certain = IsFixed(axis) || figure.difference_interval->low > 0 || figure.difference_interval->high < 0;
  if (!certain || WithinMargin(axis, *figure.value, baseline, options)) return Verdict::kWithinNoise;
  return (difference > 0) == AxisOf(axis).higher_is_better ? Verdict::kBetter : Verdict::kWorse;
}

// What CompareSystems works on.
struct Work {
  const std::vector<Candidate>& candidates;
  const CompareOptions& options;
  const ScoredInputs& scored;
};

// Two systems' accuracies on the same problems.
std::optional<double> AccuracyPValue(const CapInput& system, const CapInput& baseline,
                                     const stats::ResamplingOptions& options) {
  if (system.item_scores.empty() || system.item_scores.size() != baseline.item_scores.size()) return std::nullopt;
  return stats::ComparePaired(system.item_scores, baseline.item_scores, options)->p_value;
}

void AddDifference(const Work& work, size_t system, size_t k, ComparedFigure& figure) {
  const AxisId axis = work.options.view.axes[k];
  const size_t baseline = work.options.baseline;
  const auto reference = work.candidates[baseline].measured.Figure(axis);
  if (system == baseline) {
    figure.verdict = Verdict::kBaseline;
    return;
  }
  if (!figure.value || !reference) return;
  figure.difference = *figure.value - *reference;
  if (*reference != 0) figure.relative_difference = *figure.difference / std::abs(*reference);
  const auto& mine = work.scored.resamples[system][k];
  const auto& theirs = work.scored.resamples[baseline][k];
  if (!mine.empty() && !theirs.empty()) {
    std::vector<double> differences(mine.size());
    for (size_t i = 0; i < mine.size(); ++i) differences[i] = mine[i] - theirs[i];
    figure.difference_interval = Central(std::move(differences), work.options.resampling.confidence);
  } else if (mine.empty() != theirs.empty()) {
    figure.noise += "; that of the baseline is not known";
  }
  if (axis == AxisId::kAccuracy && SameProblems(work.candidates[system].measured, work.candidates[baseline].measured))
    figure.p_value = AccuracyPValue(work.scored.inputs[system], work.scored.inputs[baseline], work.options.resampling);
  figure.verdict = Judge(axis, figure, *reference, work.options.scores);
}

ComparedFigure MakeFigure(const Work& work, size_t system, size_t k, const CapScores& scores) {
  const Axis& axis = AxisOf(work.options.view.axes[k]);
  const MeasuredSystem& measured = work.candidates[system].measured;
  ComparedFigure figure;
  figure.value = measured.Figure(axis.id);
  if (figure.value && !std::isfinite(*figure.value)) figure.value.reset();
  const auto& resamples = work.scored.resamples[system][k];
  if (figure.value && !resamples.empty()) figure.interval = Central(resamples, work.options.resampling.confidence);
  if (figure.value) figure.noise = NoiseInWords(measured, axis.id, figure.interval.has_value());
  AddDifference(work, system, k, figure);
  if (k == 0) figure.paper_score = scores.cost;
  if (k == 1) figure.paper_score = scores.accuracy;
  if (k == 2) figure.paper_score = scores.performance;
  figure.robust_score = RobustScore(axis, figure.value, FindLimit(work.options.limits, axis.id));
  return figure;
}

// Distances from the best score, lower is better; null when a score is missing.
std::optional<ParetoPoint> PointOf(const ComparedSystem& system, std::span<const size_t> axes) {
  ParetoPoint point;
  for (const size_t k : axes) {
    if (!system.figures[k].robust_score) return std::nullopt;
    point.push_back(kBestScore - *system.figures[k].robust_score);
  }
  return point;
}

// Of the systems that have the scores; null when none has.
std::optional<double> VolumeShare(const std::vector<ComparedSystem>& systems, std::span<const size_t> axes) {
  std::vector<ParetoPoint> points;
  for (const ComparedSystem& system : systems) {
    if (auto point = PointOf(system, axes)) points.push_back(*std::move(point));
  }
  if (points.empty()) return std::nullopt;
  const double whole = std::pow(kBestScore, static_cast<double>(axes.size()));
  return Hypervolume(points, ParetoPoint(axes.size(), kBestScore)) / whole;
}

constexpr size_t kCapAxes[] = {0, 1, 2};  // cost, accuracy, performance in CapView::axes

void AddHypervolume(Comparison& comparison) {
  comparison.hypervolume = VolumeShare(comparison.systems, kCapAxes);
  std::vector<ParetoPoint> points;
  std::vector<ComparedSystem*> owners;
  for (ComparedSystem& system : comparison.systems) {
    if (auto point = PointOf(system, kCapAxes)) {
      points.push_back(*std::move(point));
      owners.push_back(&system);
    }
  }
  const ParetoPoint reference(std::size(kCapAxes), kBestScore);
  const double all = points.empty() ? 0 : Hypervolume(points, reference);
  const auto contributions = points.empty() ? std::vector<double>{} : HypervolumeContributions(points, reference);
  for (size_t i = 0; i < owners.size(); ++i) owners[i]->hypervolume_share = all > 0 ? contributions[i] / all : 0;
}

void AddFronts(const std::vector<CapInput>& inputs, const ScoreOptions& options, Comparison& comparison) {
  const auto front = CapFront(inputs, options);
  for (size_t i = 0; i < front.size(); ++i) {
    comparison.systems[i].on_front = front[i].on_front;
    comparison.systems[i].dominated_by = front[i].dominated_by;
  }
  static constexpr size_t kPlanes[][2] = {{0, 2}, {0, 1}, {1, 2}};
  for (const auto& plane : kPlanes) {
    PlaneFront entry{comparison.axes[plane[0]].axis, comparison.axes[plane[1]].axis, {}, {}};
    const Dimension dimensions[] = {AxisOf(entry.x).dimension, AxisOf(entry.y).dimension};
    for (const ParetoEntry& system : CapFront(inputs, options, dimensions)) {
      if (system.on_front == true) entry.systems.push_back(system.system);
    }
    entry.area = VolumeShare(comparison.systems, plane);
    comparison.planes.push_back(std::move(entry));
  }
}

AxisId AxisForGoal(std::string_view goal, const CapView& view) {
  for (const AxisId axis : {view.cost, view.performance, AxisId::kTpot, AxisId::kOutputTokensPerS,
                            AxisId::kUsdPerMillionOutputTokens, AxisId::kPowerW}) {
    if (GoalOf(axis) == goal) return axis;
  }
  return AxisId::kAccuracy;
}

std::string FigureInWords(AxisId axis, double value) {
  if (AxisOf(axis).unit == "s") return FormatSeconds(value);
  if (axis == AxisId::kAccuracy) return FormatPercent(value, 1);
  return fmt::format("{} {}", FormatSignificant(value, 3), AxisOf(axis).unit);
}

Advice Advise(const DecisionRow& row, const std::vector<Candidate>& candidates, const CapView& view) {
  Advice advice{row, AxisForGoal(row.primary, view), {}, ""};
  std::vector<const MeasuredSystem*> ranked;
  for (const Candidate& candidate : candidates) {
    if (candidate.measured.Figure(advice.axis)) ranked.push_back(&candidate.measured);
  }
  const bool higher = AxisOf(advice.axis).higher_is_better;
  std::stable_sort(ranked.begin(), ranked.end(), [&](const auto* a, const auto* b) {
    return higher ? *a->Figure(advice.axis) > *b->Figure(advice.axis) : *a->Figure(advice.axis) < *b->Figure(advice.axis);
  });
  std::vector<std::string> words;
  for (const MeasuredSystem* system : ranked) {
    advice.measured_ranking.push_back(system->label);
    words.push_back(fmt::format("{} {}", system->label, FigureInWords(advice.axis, *system->Figure(advice.axis))));
  }
  const bool equal = ranked.size() > 1 && *ranked.front()->Figure(advice.axis) == *ranked.back()->Figure(advice.axis);
  const std::string measured =
      words.empty() ? "not measured here"
      : equal       ? fmt::format("measured here, {}: no difference, {}", AxisOf(advice.axis).name,
                                  FigureInWords(advice.axis, *ranked[0]->Figure(advice.axis)))
                    : fmt::format("measured here, {}, best first: {}", AxisOf(advice.axis).name, fmt::join(words, ", "));
  advice.sentence = fmt::format("{}, then {}: the paper recommends {} ({}: {}); {}", row.primary, row.secondary, row.system,
                                row.configuration, row.reason, measured);
  return advice;
}

int LargestConcurrency(const std::vector<ComparedSystem>& systems) {
  int largest = 0;
  for (const ComparedSystem& system : systems) largest = std::max(largest, system.concurrency);
  return largest;
}

DecisionAdvice MakeAdvice(const std::vector<Candidate>& candidates, const std::vector<ComparedSystem>& systems,
                          const CompareOptions& options) {
  DecisionAdvice advice{options.matrix.source, options.tier, options.tier_source, LargestConcurrency(systems), {}};
  const auto scenario = FindScenario(options.view.scenario);
  const std::string_view goal =
      GoalOf(scenario.ok() && scenario->concurrency == ConcurrencyRule::kLowest ? options.view.cost : options.view.performance);
  for (const DecisionRow& row : FindDecisions(options.matrix, options.tier, advice.batch, goal))
    advice.rows.push_back(Advise(row, candidates, options.view));
  return advice;
}

// What a reader would otherwise have to find out: the classes that cannot appear.
std::vector<std::string> CostNotes(const std::vector<Candidate>& candidates, const CapView& view) {
  std::set<double> costs;
  std::set<std::string> hosts;
  for (const Candidate& candidate : candidates) {
    if (const auto cost = candidate.measured.Figure(view.cost)) costs.insert(*cost);
    hosts.insert(candidate.identity.host);
  }
  if (candidates.size() < 2 || costs.empty()) return {};
  const std::string_view name = AxisOf(view.cost).name;
  if (costs.size() == 1)
    return {fmt::format("every system has the same {}: none can give up cost, so class PA cannot appear", name)};
  if (hosts.size() == 1) {
    return {
        fmt::format("all systems share one machine, whose hour costs the same for each: {} and time per token move "
                    "together, so class PA (fast and accurate, but dear) can hardly appear",
                    name)};
  }
  return {};
}

}  // namespace

std::string VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBaseline:
      return "baseline";
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kWithinNoise:
      return "within noise";
    case Verdict::kNotKnown:
      break;
  }
  return "not known";
}

ScoredInputs MakeCapInputs(std::span<const MeasuredSystem> systems, const CapView& view,
                           const stats::ResamplingOptions& options) {
  CHECK(view.axes.size() >= std::size(kCapAxes));
  ScoredInputs scored;
  scored.resamples = Resample(systems, view.axes, options);
  for (size_t i = 0; i < systems.size(); ++i) {
    CapInput input;
    input.system = systems[i].label;
    input.cost = systems[i].Figure(view.axes[0]);
    input.accuracy = systems[i].Figure(view.axes[1]);
    input.performance = systems[i].Figure(view.axes[2]);
    if (input.accuracy) input.item_scores = ItemScores(systems[i]);
    if (const auto mean = stats::MeanAndError(input.item_scores)) input.accuracy_stderr = mean->std_error;
    input.cost_resamples = scored.resamples[i][0];
    input.accuracy_resamples = scored.resamples[i][1];
    input.performance_resamples = scored.resamples[i][2];
    scored.inputs.push_back(std::move(input));
  }
  return scored;
}

Comparison CompareSystems(std::vector<Candidate> candidates, const CompareOptions& given) {
  CompareOptions options = given;
  options.scores.cost_axis = options.view.cost;
  options.scores.performance_axis = options.view.performance;
  CHECK(options.baseline < candidates.size());
  std::vector<MeasuredSystem> measured;
  for (const Candidate& candidate : candidates) measured.push_back(candidate.measured);
  const ScoredInputs scored = MakeCapInputs(measured, options.view, options.resampling);
  const auto scores = ScoreSystems(scored.inputs, options.scores);

  Comparison comparison;
  comparison.scenario = options.view.scenario;
  comparison.cost = options.view.cost;
  comparison.performance = options.view.performance;
  comparison.normalisation = options.normalisation;
  comparison.baseline = options.baseline;
  comparison.resamples = options.resampling.resamples;
  comparison.margin_ratio = options.scores.meaningful_ratio;
  for (const AxisId axis : options.view.axes) {
    const AxisLimit* limit = FindLimit(options.limits, axis);
    comparison.axes.push_back({axis, limit != nullptr ? std::optional(*limit) : std::nullopt});
  }
  const Work work{candidates, options, scored};
  for (size_t i = 0; i < candidates.size(); ++i) {
    ComparedSystem system = candidates[i].identity;
    system.label = candidates[i].measured.label;
    system.scores = scores[i];
    for (size_t k = 0; k < options.view.axes.size(); ++k) system.figures.push_back(MakeFigure(work, i, k, scores[i]));
    comparison.systems.push_back(std::move(system));
  }
  AddFronts(scored.inputs, options.scores, comparison);
  AddHypervolume(comparison);
  comparison.advice = MakeAdvice(candidates, comparison.systems, options);
  comparison.notes = CostNotes(candidates, options.view);
  return comparison;
}

}  // namespace moecap::cap
