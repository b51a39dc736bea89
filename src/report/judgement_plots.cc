#include "report/judgement_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "report/format.h"
#include "report/readings.h"

namespace moecap::report {
namespace {

using cap::Dimension;
using cap::Evidence;
using cap::Judgement;

constexpr double kLargest = 1e15;  // that a plot draws

bool Drawable(const std::optional<double>& value) { return value && std::isfinite(*value) && std::abs(*value) < kLargest; }

// One of the three as it is drawn: where its values come from and how they are called.
struct Quantity {
  Dimension dimension = Dimension::kCost;
  std::string name, unit;
  double size = 1;  // of the unit
  bool higher_is_better = false;
  bool logarithmic = true;
};

Quantity QuantityOf(const Judgement& judgement, Dimension dimension) {
  if (dimension == Dimension::kAccuracy) return {dimension, "accuracy", "%", kPercent, true, false};
  const cap::AxisWords& axis = dimension == Dimension::kCost ? judgement.options.cost : judgement.options.performance;
  const bool seconds = axis.unit == "s";
  return {dimension, axis.name, seconds ? "ms" : axis.unit, seconds ? kMilli : 1, axis.higher_is_better, true};
}

struct Known {
  double value = 0;
  std::optional<double> low, high;
};

// With what is known of its noise: the interval of the accuracy, the lowest and the highest repetition of the others.
std::optional<Known> ValueOf(const Judgement& judgement, std::span<const ShownCell> cells, size_t system, Dimension dimension) {
  const Evidence& evidence = judgement.evidence[system];
  Known known;
  if (dimension == Dimension::kAccuracy) {
    if (!Drawable(evidence.accuracy)) return std::nullopt;
    known.value = *evidence.accuracy;
    if (system < cells.size() && cells[system].cell != nullptr) {
      known.low = cells[system].cell->figures[cap::FigureId::kAccuracyLow];
      known.high = cells[system].cell->figures[cap::FigureId::kAccuracyHigh];
    }
  } else {
    const cap::Series& series = dimension == Dimension::kCost ? evidence.cost : evidence.performance;
    if (!Drawable(series.value) || *series.value < 1e-12) return std::nullopt;
    known.value = *series.value;
    for (const auto& value : series.by_repetition) {
      if (!Drawable(value) || series.exact) continue;
      known.low = std::min(known.low.value_or(*value), *value);
      known.high = std::max(known.high.value_or(*value), *value);
    }
  }
  if (!Drawable(known.low) || !Drawable(known.high)) known.low = known.high = std::nullopt;
  return known;
}

std::string Title(std::string words) {
  words = Sentence(std::move(words));
  if (words.ends_with('.')) words.pop_back();
  return words;
}

size_t MarkerOf(std::span<const ShownCell> cells, size_t system) {
  return system < cells.size() ? cells[system].marker : system;
}

std::string Where(const Judgement& judgement) { return judgement.level.empty() ? "" : " at " + judgement.level; }

Figure Radar(const Judgement& judgement, std::span<const ShownCell> cells) {
  RadarPlot plot{{"cap-radar", "CAP radar", fmt::format("scores{}, outer is better", Where(judgement)), ""},
                 {"Accuracy", "Performance", "Cost"},
                 {}};
  if (!judgement.paper_scores) return {plot, "", PlotWidth::kHalf};
  const auto drawable = [](const std::optional<double>& score) { return Drawable(score) ? score : std::nullopt; };
  for (size_t i = 0; i < judgement.paper_scores->size(); ++i) {
    const cap::PaperScore& score = (*judgement.paper_scores)[i];
    plot.series.push_back(
        {MarkerOf(cells, i), score.label, {drawable(score.accuracy), drawable(score.performance), drawable(score.cost)}});
  }
  plot.frame.description = "Scores of MoE-CAP's radar, relative to the systems in view.";
  return {std::move(plot), "Relative to the systems in view: the radar shows the trade and decides nothing.", PlotWidth::kHalf};
}

Figure Bars(const Judgement& judgement, std::span<const ShownCell> cells, Dimension dimension) {
  const Quantity quantity = QuantityOf(judgement, dimension);
  const std::string id(cap::DimensionName(dimension));
  BarPlot plot;
  plot.frame = {
      id, Title(quantity.name),
      fmt::format("{}{}, {} is better", quantity.unit, Where(judgement), quantity.higher_is_better ? "longer" : "shorter"),
      fmt::format("{} of each system.", quantity.name)};
  for (size_t i = 0; i < judgement.evidence.size(); ++i) {
    const auto known = ValueOf(judgement, cells, i, dimension);
    if (!known) continue;
    Bar bar;
    bar.system = MarkerOf(cells, i);
    bar.name = judgement.evidence[i].label;
    bar.value = known->value / quantity.size;
    if (known->low) bar.low = *known->low / quantity.size;
    if (known->high) bar.high = *known->high / quantity.size;
    bar.text = NumberText(known->value, quantity.size);
    bar.valid = judgement.evidence[i].tripped.empty();
    plot.bars.push_back(std::move(bar));
  }
  if (dimension == Dimension::kAccuracy) plot.maximum = 100;
  return {std::move(plot),
          dimension == Dimension::kAccuracy ? "Whiskers: 95 % interval." : "Whiskers: lowest to highest repetition.",
          PlotWidth::kThird};
}

PlotScale ScaleOf(const Quantity& quantity) {
  return {fmt::format("{}, {}{}", quantity.name, quantity.unit, quantity.logarithmic ? " (log scale)" : ""),
          quantity.logarithmic, quantity.higher_is_better, quantity.size};
}

Figure Pareto(const Judgement& judgement, std::span<const ShownCell> cells, Dimension x, Dimension y) {
  const Quantity across = QuantityOf(judgement, x);
  const Quantity up = QuantityOf(judgement, y);
  ParetoPlot plot;
  plot.frame = {fmt::format("pareto-{}-{}", cap::DimensionName(x), cap::DimensionName(y)),
                Title(fmt::format("{} against {}", up.name, across.name)), "filled: on the front of these two; whiskers: noise",
                ""};
  plot.x = ScaleOf(across);
  plot.y = ScaleOf(up);
  const std::array dimensions = {x, y};
  const std::vector<std::optional<bool>> front = cap::FrontOf(judgement.verdicts, dimensions);
  for (size_t i = 0; i < judgement.evidence.size(); ++i) {
    const auto at = ValueOf(judgement, cells, i, x);
    const auto height = ValueOf(judgement, cells, i, y);
    if (!at || !height) continue;
    plot.marks.push_back({MarkerOf(cells, i), judgement.evidence[i].label, at->value, height->value, at->low, at->high,
                          height->low, height->high, i < front.size() && front[i].value_or(true),
                          judgement.evidence[i].tripped.empty()});
  }
  if (plot.marks.size() < 2) plot.marks.clear();
  plot.frame.description = ReadPareto(plot);
  std::string caption = plot.frame.description;
  const bool unknown = std::ranges::any_of(front, [](const auto& on) { return !on.has_value(); });
  if (!caption.empty() && unknown) caption += " What was not judged is drawn as if it were on it.";
  return {std::move(plot), std::move(caption), PlotWidth::kThird};
}

}  // namespace

std::vector<Figure> JudgementFigures(const Judgement& judgement, std::span<const ShownCell> cells) {
  if (judgement.evidence.size() < 2) return {};
  std::vector<Figure> figures;
  for (const Dimension dimension : {Dimension::kPerformance, Dimension::kCost, Dimension::kAccuracy})
    figures.push_back(Bars(judgement, cells, dimension));
  figures.push_back(Pareto(judgement, cells, Dimension::kCost, Dimension::kAccuracy));
  figures.push_back(Pareto(judgement, cells, Dimension::kPerformance, Dimension::kAccuracy));
  figures.push_back(Pareto(judgement, cells, Dimension::kCost, Dimension::kPerformance));
  figures.push_back(Radar(judgement, cells));
  return figures;
}

}  // namespace moecap::report
