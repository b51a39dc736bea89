#include "report/judgement_section.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/judgement_plots.h"

namespace moecap::report {
namespace {

using cap::Dimension;
using cap::DimensionVerdict;
using cap::Judgement;

// An estimate or a bound of one: a ratio, or for accuracy a difference.
std::string EstimateText(Dimension dimension, std::optional<double> value) {
  return dimension == Dimension::kAccuracy ? PointsText(value) : TimesText(value);
}

std::string BoundsText(Dimension dimension, double low, double high) {
  return dimension == Dimension::kAccuracy ? IntervalText(low, high, kPercent) : IntervalText(low, high);
}

Cell Bounds(const DimensionVerdict& verdict) {
  if (verdict.interval) return BoundsText(verdict.dimension, verdict.interval->low, verdict.interval->high);
  if (!verdict.range) return "";
  return WithNote(BoundsText(verdict.dimension, verdict.range->low, verdict.range->high),
                  "not an interval: the lowest and the highest repetition");
}

std::string UnitOfN(Dimension dimension) { return dimension == Dimension::kAccuracy ? "problem" : "repetition"; }

std::string DimensionTitle(const Judgement& judgement, Dimension dimension) {
  if (dimension == Dimension::kAccuracy) return "accuracy";
  const cap::AxisWords& axis = dimension == Dimension::kCost ? judgement.options.cost : judgement.options.performance;
  return fmt::format("{}: {}", cap::DimensionName(dimension), axis.name);
}

// Why a verdict is what it is: a footnote of the outcome.
std::string ReasonOf(const DimensionVerdict& verdict) {
  std::string reason = verdict.reason.empty() ? verdict.test : verdict.reason;
  if (verdict.n_would_decide) {
    reason += fmt::format("; {} would decide if the figures stay what they are",
                          CountText(*verdict.n_would_decide, UnitOfN(verdict.dimension), UnitOfN(verdict.dimension) + "s"));
  }
  return reason;
}

// The pairs in one dimension.
Table PairTable(const Judgement& judgement, size_t dimension_index) {
  const Dimension dimension = cap::kJudgedDimensions[dimension_index];
  const bool difference = dimension == Dimension::kAccuracy;
  Table table{.name = fmt::format("pairs-{}", cap::DimensionName(dimension)), .title = DimensionTitle(judgement, dimension)};
  table.columns = {{.header = "first", .kind = ColumnKind::kKey},
                   {.header = "second", .kind = ColumnKind::kKey},
                   {.header = "the first is", .kind = ColumnKind::kWord},
                   {.header = difference ? "first - second" : "first / second"},
                   {.header = fmt::format("{:g} % interval", 100 * judgement.options.confidence)},
                   {.header = UnitOfN(dimension) + "s"}};
  const auto& systems = judgement.verdicts.systems;
  bool family = false;
  for (const cap::PairVerdict& pair : judgement.verdicts.pairs) {
    const DimensionVerdict& verdict = pair.dimensions[dimension_index];
    if (!verdict.estimate && verdict.reason.empty()) continue;
    family = family || verdict.holds_over_all;
    const std::string outcome = std::string(cap::OutcomeName(verdict.outcome)) + (verdict.holds_over_all ? " *" : "");
    table.rows.push_back({systems[pair.first].label, systems[pair.second].label, WithNote(outcome, ReasonOf(verdict)),
                          EstimateText(dimension, verdict.estimate), Bounds(verdict),
                          verdict.n > 0 ? std::to_string(verdict.n) : ""});
  }
  if (family && judgement.verdicts.pairs.size() > 1) table.notes = {"*: also when all pairs in view are tested at once."};
  return table;
}

std::vector<std::string> LabelsOf(const Judgement& judgement, const std::vector<size_t>& systems) {
  std::vector<std::string> labels;
  for (const size_t system : systems) labels.push_back(judgement.verdicts.systems[system].label);
  return labels;
}

Table StandingTable(const Judgement& judgement, std::span<const ShownCell> cells) {
  const bool letters = judgement.verdicts.letters_apply;
  Table table{.name = "standing", .title = letters ? "Classes" : "Standing"};
  table.columns = {{.header = "system", .kind = ColumnKind::kKey}, {.header = "standing", .kind = ColumnKind::kWord}};
  if (letters) table.columns.push_back({.header = "keeps", .kind = ColumnKind::kWord});
  table.columns.push_back({.header = "why", .kind = ColumnKind::kText});
  const auto& systems = judgement.verdicts.systems;
  for (size_t i = 0; i < systems.size(); ++i) {
    const cap::SystemVerdict& system = systems[i];
    std::string standing(cap::DominationName(system.domination));
    if (!system.dominated_by.empty()) standing += " by " + JoinWords(LabelsOf(judgement, system.dominated_by));
    if (system.may_be_dominated_by) standing = "perhaps dominated by " + systems[*system.may_be_dominated_by].label;
    Row row{system.label, std::move(standing)};
    if (letters) row.cells.emplace_back(system.letters);
    row.cells.emplace_back(system.reason);
    row.marker = i < cells.size() ? cells[i].marker : i;
    table.rows.push_back(std::move(row));
  }
  if (letters)
    table.notes = {
        "Keeps: P performance, C cost, A accuracy; not inferior to the best in view within the margin. ?: not decided."};
  return table;
}

// What the judge looked at, with the lowest and the highest repetition.
void AddSeries(Table& table, const cap::AxisWords& axis, std::span<const cap::Evidence> evidence,
               cap::Series cap::Evidence::*of) {
  const bool seconds = axis.unit == "s";
  const double unit = seconds ? kMilli : 1;
  std::vector<std::optional<double>> values;
  for (const cap::Evidence& entry : evidence) values.push_back((entry.*of).value);
  const std::vector<std::string> numbers = AlignedNumbers(values, unit);
  std::vector<Cell> cells;
  for (size_t i = 0; i < evidence.size(); ++i) {
    std::optional<double> low, high;
    for (const auto& value : (evidence[i].*of).by_repetition) {
      if (!value) continue;
      low = std::min(low.value_or(*value), *value);
      high = std::max(high.value_or(*value), *value);
    }
    const bool spreads = low && !(evidence[i].*of).exact && *low < *high;
    cells.emplace_back(WithInterval(numbers[i], spreads ? IntervalText(low, high, unit) : ""));
  }
  AddColumn(table, {.header = axis.name, .unit = seconds ? "ms" : axis.unit}, std::move(cells));
}

Table EvidenceTable(const Judgement& judgement, std::span<const ShownCell> cells) {
  Table table{.name = "evidence", .title = "What was judged"};
  table.columns = {{.header = "system", .kind = ColumnKind::kKey}};
  std::vector<Cell> accuracy, scored;
  for (size_t i = 0; i < judgement.evidence.size(); ++i) {
    const cap::Evidence& entry = judgement.evidence[i];
    Row row{entry.tripped.empty() ? Cell(entry.label) : WithNote(entry.label, "in no verdict: " + JoinWords(entry.tripped))};
    row.marker = i < cells.size() ? cells[i].marker : i;
    row.invalid = !entry.tripped.empty();
    table.rows.push_back(std::move(row));
    accuracy.emplace_back(NumberText(entry.accuracy, kPercent));
    scored.emplace_back(entry.items.empty() ? "" : std::to_string(entry.items.size()));
  }
  AddSeries(table, judgement.options.performance, judgement.evidence, &cap::Evidence::performance);
  AddSeries(table, judgement.options.cost, judgement.evidence, &cap::Evidence::cost);
  AddColumn(table, {.header = "accuracy", .unit = "%"}, std::move(accuracy));
  AddColumn(table, {.header = "problems"}, std::move(scored));
  DropEmptyColumns(table);
  if (table.columns.size() == 1) table.rows.clear();
  table.notes = {"In parentheses: the lowest and the highest repetition."};
  for (const cap::FigureLimit& limit : judgement.limits) {
    table.notes.push_back(fmt::format("No system can pass {} of {}: {}.", cap::FigureOf(limit.figure).name,
                                      FigureText(limit.figure, limit.value), limit.source));
  }
  return table;
}

Table ScoreTable(const Judgement& judgement) {
  Table table{.name = "paper-scores", .title = "Scores of the radar"};
  table.columns = {
      {.header = "system", .kind = ColumnKind::kKey}, {.header = "accuracy"}, {.header = "performance"}, {.header = "cost"}};
  if (!judgement.paper_scores) return table;
  for (const cap::PaperScore& score : *judgement.paper_scores) {
    Row row{score.label};
    for (const auto& value : {score.accuracy, score.performance, score.cost}) row.cells.emplace_back(NumberText(value));
    table.rows.push_back(std::move(row));
  }
  table.notes = {
      "MoE-CAP's normalisation, 0 to 100, outer is better; relative to the systems in view, so they decide nothing."};
  return table;
}

Paragraph Method(const Judgement& judgement) {
  const cap::JudgeOptions& options = judgement.options;
  return {{fmt::format("Scenario {}: cost is {}, performance is {}{}.", judgement.view.scenario, options.cost.name,
                       options.performance.name, judgement.level.empty() ? "" : ", at " + judgement.level),
           fmt::format("Better: equality is rejected at {:g} % and the figures differ by at least {:g} % (accuracy: {:g} {}).",
                       100 * options.confidence, 100 * options.ratio_margin, 100 * options.accuracy_margin,
                       options.accuracy_margin == 0.01 ? "point" : "points"),
           "As good: the interval lies within that margin.",
           fmt::format("Below {} repetitions the range is given and nothing is judged.", options.least_repetitions)}};
}

}  // namespace

Section JudgementSection(const Judgement& judgement, std::span<const ShownCell> cells) {
  Section section{.heading = "Verdicts"};
  const bool several = judgement.evidence.size() > 1;
  if (several) {
    if (!judgement.verdicts.letters_apply && !judgement.verdicts.letters_reason.empty())
      section.blocks.push_back(Paragraph{{judgement.verdicts.letters_reason}});
    section.blocks.push_back(StandingTable(judgement, cells));
    for (size_t i = 0; i < cap::kJudgedDimensions.size(); ++i) section.blocks.push_back(PairTable(judgement, i));
  }
  section.blocks.push_back(EvidenceTable(judgement, cells));
  for (Figure& figure : JudgementFigures(judgement, cells)) section.blocks.push_back(std::move(figure));
  if (several) {  // beside the radar, which comes last
    section.blocks.push_back(Method(judgement));
    section.blocks.push_back(ScoreTable(judgement));
  }
  return section;
}

}  // namespace moecap::report
