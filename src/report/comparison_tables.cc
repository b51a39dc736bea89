#include "report/comparison_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/table.h"
#include "base/units.h"
#include "report/figures.h"
#include "report/words.h"

namespace moecap::report {
namespace {

using cap::Axis;
using cap::ComparedFigure;
using cap::ComparedSystem;
using cap::Comparison;

// How the figures of an axis are printed: in a unit that suits the largest of them.
struct Scale {
  double factor = 1;
  std::string unit;
};

bool IsFraction(const Axis& axis) { return axis.unit.empty(); }

Scale ScaleOf(const Comparison& comparison, size_t k) {
  const Axis& axis = cap::AxisOf(comparison.axes[k].axis);
  if (IsFraction(axis)) return {100, "%"};
  double largest = 0;
  for (const ComparedSystem& system : comparison.systems) {
    if (system.figures[k].value) largest = std::max(largest, std::abs(*system.figures[k].value));
  }
  if (axis.unit == "s" && largest < 1e-3) return {1e6, "us"};
  if (axis.unit == "s" && largest < 1) return {1e3, "ms"};
  if (axis.unit == "B") {
    for (const auto& [factor, unit] : {std::pair{1e-12, "TB"}, {1e-9, "GB"}, {1e-6, "MB"}, {1e-3, "kB"}}) {
      if (largest * factor >= 1) return {factor, unit};
    }
  }
  return {1, std::string(axis.unit)};
}

// Digits after the point at which `values` show three digits of the smallest.
int DecimalsFor(const std::vector<double>& values) {
  int decimals = 0;
  for (const double value : values) {
    if (value == 0 || !std::isfinite(value)) continue;
    decimals = std::max(decimals, 2 - static_cast<int>(std::floor(std::log10(std::abs(value) * 1.0005))));
  }
  return std::clamp(decimals, 0, 6);
}

std::string Number(double value, int decimals) {
  return std::abs(value) < 1e9 ? FormatFixed(value, decimals) : FormatSignificant(value, 3);
}

std::string Signed(double value, int decimals) {
  const std::string text = Number(value, decimals);
  const bool zero = text.find_first_not_of("-0.") == std::string::npos;
  if (zero) return text[0] == '-' ? text.substr(1) : text;
  return value > 0 ? "+" + text : text;
}

std::string RangeText(const std::optional<stats::Interval>& interval, double factor, const std::function<std::string(double)>& text) {
  if (!interval) return kMissing;
  return text(interval->low * factor) + " to " + text(interval->high * factor);
}

// A difference: in points of a fraction, else in percent of the baseline.
std::optional<double> DifferenceFactor(const Comparison& comparison, size_t k) {
  if (IsFraction(cap::AxisOf(comparison.axes[k].axis))) return 100;
  const auto baseline = comparison.systems[comparison.baseline].figures[k].value;
  if (!baseline || *baseline == 0) return std::nullopt;
  return 100 / std::abs(*baseline);
}

ComparisonTable FigureTable(const Comparison& comparison, size_t k) {
  const Axis& axis = cap::AxisOf(comparison.axes[k].axis);
  const Scale scale = ScaleOf(comparison, k);
  const auto factor = DifferenceFactor(comparison, k);
  std::vector<double> values;
  for (const ComparedSystem& system : comparison.systems) {
    if (system.figures[k].value) values.push_back(*system.figures[k].value * scale.factor);
  }
  const int decimals = IsFraction(axis) ? 1 : DecimalsFor(values);
  const auto plain = [&](double value) { return Number(value, decimals); };
  const auto difference = [&](double value) { return Signed(value, std::abs(value) < 1000 ? 1 : 0); };
  const bool accuracy = axis.id == cap::AxisId::kAccuracy;

  ComparisonTable table;
  table.title = fmt::format("{} ({}), {} is better", axis.name, scale.unit, axis.higher_is_better ? "higher" : "lower");
  const std::string group = fmt::format("difference, {}", IsFraction(axis) ? "points" : "%");
  table.columns = {{"", "value"}, {"", "95 %"}, {group, "mean"}, {group, "95 %"}};
  if (accuracy) table.columns.push_back({"", "p"});
  table.columns.push_back({"", "verdict", true});
  for (const ComparedSystem& system : comparison.systems) {
    const ComparedFigure& figure = system.figures[k];
    std::vector<std::string> row = {
        figure.value ? plain(*figure.value * scale.factor) : kMissing, RangeText(figure.interval, scale.factor, plain),
        figure.difference && factor ? difference(*figure.difference * *factor) : kMissing,
        factor ? RangeText(figure.difference_interval, *factor, difference) : kMissing};
    if (accuracy) row.push_back(figure.p_value ? FormatFixed(*figure.p_value, 3) : kMissing);
    row.push_back(cap::VerdictName(figure.verdict));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string ScoreText(std::optional<double> score) { return score ? FormatFixed(*score, 0) : kMissing; }

std::string PercentText(std::optional<double> share) { return share ? FormatFixed(100 * *share, 0) : kMissing; }

std::string Listed(const std::vector<std::string>& labels) { return labels.empty() ? "none" : JoinWords(labels); }

}  // namespace

std::vector<ComparisonTable> FigureTables(const Comparison& comparison) {
  std::vector<ComparisonTable> tables;
  for (size_t k = 0; k < comparison.axes.size(); ++k) tables.push_back(FigureTable(comparison, k));
  return tables;
}

ComparisonTable ScoreTable(const Comparison& comparison) {
  ComparisonTable table;
  table.title = "CAP scores";
  table.columns = {{"paper score", "cost"},  {"paper score", "acc"}, {"paper score", "perf"}, {"robust score", "cost"},
                   {"robust score", "acc"},  {"robust score", "perf"}, {"", "class", true},    {"sup-", "port %"},
                   {"", "front", true},      {"volume", "share %"}};
  for (const ComparedSystem& system : comparison.systems) {
    std::vector<std::string> row;
    for (size_t k = 0; k < 3; ++k) row.push_back(ScoreText(system.figures[k].paper_score));
    for (size_t k = 0; k < 3; ++k) row.push_back(ScoreText(system.figures[k].robust_score));
    row.push_back(cap::CapClassName(system.scores.cap_class));
    row.push_back(PercentText(system.scores.class_support));
    row.emplace_back(system.on_front ? (*system.on_front ? "yes" : "no") : kMissing);
    row.push_back(PercentText(system.hypervolume_share));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string Headline(const Comparison& comparison) {
  const size_t systems = comparison.systems.size();
  const size_t runs = comparison.runs.size();
  return fmt::format("{} system{} of {} run{}, scenario {} at concurrency {}", systems, systems == 1 ? "" : "s", runs,
                     runs == 1 ? "" : "s", comparison.scenario, systems == 0 ? 0 : comparison.systems[0].concurrency);
}

std::vector<std::pair<std::string, std::string>> DescribeComparison(const Comparison& comparison) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const cap::ComparedRun& run : comparison.runs)
    lines.emplace_back("run", fmt::format("{}, {}, started {}", run.run_id, run.engine, run.started_at));
  const auto common = [&](const char* what, const char* label, std::string cap::ComparedRun::*field) {
    const bool differs = std::any_of(comparison.mismatches.begin(), comparison.mismatches.end(),
                                     [&](const cap::Mismatch& mismatch) { return mismatch.what == what; });
    if (!differs && !comparison.runs.empty()) lines.emplace_back(label, comparison.runs[0].*field);
    for (const cap::ComparedRun& run : comparison.runs) {
      if (differs) lines.emplace_back(label, fmt::format("{}: {}", run.run_id, run.*field));
    }
  };
  common("model", "model", &cap::ComparedRun::model);
  common("dataset", "data set", &cap::ComparedRun::dataset);
  common("contract", "contract", &cap::ComparedRun::contract);
  common("hardware", "hardware", &cap::ComparedRun::hardware);
  lines.emplace_back("baseline", comparison.systems[comparison.baseline].label);
  return lines;
}

std::string ClassSentence(const ComparedSystem& system) {
  std::string head = cap::CapClassName(system.scores.cap_class);
  if (system.scores.class_support) {
    head += fmt::format(", in {} % of resamples", PercentText(system.scores.class_support));
    std::vector<std::string> others;
    for (const cap::ClassShare& other : system.scores.class_alternatives) {
      if (other.share >= 0.005) others.push_back(fmt::format("{} {} %", cap::CapClassName(other.cap_class), PercentText(other.share)));
    }
    if (!others.empty()) head += fmt::format("; else {}", fmt::join(others, ", "));
  }
  const std::string reason = CapReason(system.scores);
  return fmt::format("{} ({}): {}", system.label, head, reason.empty() ? ClassMeaning(system.scores.cap_class) + "." : reason);
}

std::vector<std::string> FrontLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  std::vector<std::string> front;
  for (const ComparedSystem& system : comparison.systems) {
    if (system.on_front == true) front.push_back(system.label);
  }
  lines.push_back(fmt::format("cost, accuracy and performance: {}{}", Listed(front),
                              comparison.hypervolume ? fmt::format("; hypervolume {} %", FormatSignificant(100 * *comparison.hypervolume, 3))
                                                     : ""));
  for (const cap::PlaneFront& plane : comparison.planes) {
    lines.push_back(fmt::format("{} and {}: {}{}", cap::AxisOf(plane.x).name, cap::AxisOf(plane.y).name, Listed(plane.systems),
                                plane.area ? fmt::format("; area {} %", FormatSignificant(100 * *plane.area, 3)) : ""));
  }
  for (const ComparedSystem& system : comparison.systems) {
    if (!system.dominated_by.empty()) lines.push_back(fmt::format("{} is dominated by {}", system.label, Listed(system.dominated_by)));
  }
  return lines;
}

std::vector<std::string> AdviceLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  const cap::DecisionAdvice& advice = comparison.advice;
  if (advice.rows.empty()) return lines;
  lines.push_back(fmt::format("Tier {} ({}; the paper's rows are for {}), batch {}. Source: {}.", advice.tier, advice.tier_source,
                              advice.rows[0].row.hardware, advice.batch, advice.source));
  for (const cap::Advice& row : advice.rows) lines.push_back(row.sentence + ".");
  return lines;
}

std::vector<std::string> MethodLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format(
      "Intervals and class support: {} bootstrap resamples of problems and repetitions. Better and worse: the interval of the "
      "difference leaves 0 out, and times, rates and costs differ by more than {}.",
      comparison.resamples, FormatPercent(comparison.margin_ratio - 1, 0)));
  for (size_t k = 0; k < comparison.axes.size(); ++k) {
    std::vector<std::string> noises;
    for (const ComparedSystem& system : comparison.systems) {
      const std::string& noise = system.figures[k].noise;
      if (!noise.empty() && std::find(noises.begin(), noises.end(), noise) == noises.end()) noises.push_back(noise);
    }
    const Axis& axis = cap::AxisOf(comparison.axes[k].axis);
    std::string line = fmt::format("{}: {}", axis.key, axis.definition);
    if (!noises.empty()) line += fmt::format("; noise from {}", fmt::join(noises, " / "));
    if (comparison.axes[k].limit) {
      line += fmt::format("; robust score 100 at {} {} = {}, 0 at {} powers of ten from it",
                          FormatSignificant(comparison.axes[k].limit->value, 3), axis.unit, comparison.axes[k].limit->source,
                          FormatSignificant(axis.decades, 2));
    } else if (!axis.log_scale) {
      line += "; robust score 100 x the share";
    }
    lines.push_back(line + ".");
  }
  lines.push_back(
      "Paper scores are relative to the systems in view (MoE-CAP's radar); robust scores depend on the system alone.");
  return lines;
}

std::vector<std::string> InvalidLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  for (const ComparedSystem& system : comparison.systems) {
    if (!system.invalid.empty()) lines.push_back(fmt::format("{}: {}", system.label, fmt::join(system.invalid, "; ")));
  }
  return lines;
}

std::vector<cap::CapScores> DrawnScores(const Comparison& comparison) {
  std::vector<cap::CapScores> scores;
  for (const ComparedSystem& system : comparison.systems) {
    scores.push_back(system.scores);
    scores.back().system = system.label;
    if (comparison.normalisation != "robust") continue;
    scores.back().cost = system.figures[0].robust_score;
    scores.back().accuracy = system.figures[1].robust_score;
    scores.back().performance = system.figures[2].robust_score;
  }
  return scores;
}

Comparison Printable(Comparison comparison) {
  std::vector<std::string*> texts;
  const auto add = [&texts](auto& list) {
    for (auto& text : list) texts.push_back(&text);
  };
  for (auto& run : comparison.runs) {
    for (auto* text : {&run.run_id, &run.started_at, &run.moecap_version, &run.engine, &run.model, &run.dataset, &run.contract,
                       &run.hardware})
      texts.push_back(text);
  }
  for (auto& mismatch : comparison.mismatches) add(mismatch.values);
  for (auto& system : comparison.systems) {
    for (auto* text : {&system.label, &system.run_id, &system.system, &system.description, &system.model_id, &system.weight_type,
                       &system.host, &system.scores.system, &system.scores.reason})
      texts.push_back(text);
    add(system.invalid);
    add(system.dominated_by);
    add(system.scores.dominated_by);
  }
  for (auto& plane : comparison.planes) add(plane.systems);
  for (auto& axis : comparison.axes) {
    if (axis.limit) texts.push_back(&axis.limit->source);
  }
  for (auto& row : comparison.advice.rows) {
    add(row.measured_ranking);
    texts.push_back(&row.sentence);
  }
  add(comparison.warnings);
  add(comparison.notes);
  for (auto* text : texts) *text = PrintableText(*text);
  return comparison;
}

}  // namespace moecap::report
