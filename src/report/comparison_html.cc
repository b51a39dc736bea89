#include "report/comparison_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "report/charts.h"
#include "report/comparison_tables.h"
#include "report/figures.h"
#include "report/html.h"
#include "report/html_parts.h"
#include "report/plots.h"
#include "report/words.h"

namespace moecap::report {
namespace {

using cap::Comparison;

std::optional<double> DrawableScore(std::optional<double> score) { return score && Drawable(*score) ? score : std::nullopt; }

RadarPlot RadarOf(const Comparison& comparison) {
  RadarPlot plot{{"compare-radar", "CAP radar", fmt::format("{} scores, outer is better", comparison.normalisation), ""},
                 {"Accuracy", "Performance", "Cost"},
                 {}};
  const auto scores = DrawnScores(comparison);
  for (size_t i = 0; i < scores.size(); ++i) {
    plot.series.push_back(
        {i,
         scores[i].system,
         {DrawableScore(scores[i].accuracy), DrawableScore(scores[i].performance), DrawableScore(scores[i].cost)}});
    plot.frame.description += fmt::format("{}: {}. ", scores[i].system, ClassMeaning(scores[i].cap_class));
  }
  return plot;
}

bool AnyScore(const RadarPlot& plot) {
  return std::ranges::any_of(plot.series, [](const RadarSeries& series) {
    return std::ranges::any_of(series.scores, [](const auto& score) { return score.has_value(); });
  });
}

PlotScale ScaleOf(const cap::Axis& axis) {
  if (axis.unit.empty()) return {fmt::format("{}, %", axis.name), false, axis.higher_is_better, 0.01};
  const bool time = axis.unit == "s";
  return {fmt::format("{}, {} (log scale)", axis.name, time ? "ms" : axis.unit), true, axis.higher_is_better, time ? 1e-3 : 1};
}

// Two axes by their place in Comparison::axes. The front is the one beyond noise.
Chart PlaneChart(const Comparison& comparison, const cap::PlaneFront& plane) {
  const auto place = [&](cap::AxisId axis) {
    return static_cast<size_t>(std::ranges::find(comparison.axes, axis, &cap::ComparedAxis::axis) - comparison.axes.begin());
  };
  const size_t x = place(plane.x), y = place(plane.y);
  const std::string name = fmt::format("compare-{}-{}", x, y);
  ParetoPlot plot{{name, fmt::format("{} and {}", cap::AxisOf(plane.x).name, cap::AxisOf(plane.y).name),
                   "filled: dominated by none of these beyond noise; whiskers: 95 % intervals", ""},
                  ScaleOf(cap::AxisOf(plane.x)),
                  ScaleOf(cap::AxisOf(plane.y)),
                  {}};
  const auto drawable = [](const PlotScale& scale, double value) {
    return Drawable(value) && (!scale.logarithmic || value > 1e-12);
  };
  for (size_t i = 0; i < comparison.systems.size(); ++i) {
    const auto& system = comparison.systems[i];
    const auto& fx = system.figures[x];
    const auto& fy = system.figures[y];
    if (!fx.value || !fy.value || !drawable(plot.x, *fx.value) || !drawable(plot.y, *fy.value)) continue;
    ParetoMark mark{i, system.label, *fx.value, *fy.value};
    if (fx.interval && drawable(plot.x, fx.interval->low))
      std::tie(mark.x_low, mark.x_high) = std::pair(fx.interval->low, fx.interval->high);
    if (fy.interval && drawable(plot.y, fy.interval->low))
      std::tie(mark.y_low, mark.y_high) = std::pair(fy.interval->low, fy.interval->high);
    mark.on_front = std::ranges::find(plane.systems, system.label) != plane.systems.end();
    plot.marks.push_back(std::move(mark));
  }
  if (plot.marks.size() < 2) return {};
  plot.frame.description =
      fmt::format("Beyond noise, none dominates {}.", plane.systems.empty() ? "any of them" : JoinWords(plane.systems));
  return {name, DrawPareto(plot, SvgMode::kFragment), plot.frame.description, 0, TableOf(plot)};
}

std::string HtmlOf(const Comparison& comparison, const ComparisonTable& table) {
  std::vector<std::string> head = {"system"};
  std::vector<size_t> words;
  for (const auto& column : table.columns) {
    head.push_back(column.group + (column.group.empty() ? "" : ", ") + column.header);
    if (column.header == "verdict") words.push_back(head.size() - 1);
  }
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    rows.push_back({comparison.systems[i].label});
    rows.back().insert(rows.back().end(), table.rows[i].begin(), table.rows[i].end());
  }
  return HtmlTable(table.title, head, rows, words);
}

std::string Alarms(const Comparison& comparison) {
  std::string out;
  for (const auto& warning : comparison.warnings) out += "<p class=\"alarm\" role=\"alert\">" + EscapeXml(warning) + "</p>\n";
  return out;
}

std::string Header(const Comparison& comparison) {
  std::string out = "<header>\n<p class=\"kicker\">moecap: systems compared</p>\n" + Alarms(comparison);
  out += "<h1>" + EscapeXml(Headline(comparison)) + "</h1>\n<dl class=\"meta\">\n";
  for (const auto& [label, text] : DescribeComparison(comparison))
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", EscapeXml(label), EscapeXml(text));
  return out + "</dl>\n</header>\n";
}

std::string CapSection(const Comparison& comparison) {
  std::string out = "<h2 id=\"cap\">Cost, accuracy, performance</h2>\n<div class=\"pair\">\n<div>\n";
  const RadarPlot radar = RadarOf(comparison);
  if (AnyScore(radar))
    out += HtmlFigure({"compare-radar", DrawRadar(radar, SvgMode::kFragment), radar.frame.description, 0, TableOf(radar)});
  out += "</div>\n<div>\n";
  for (size_t i = 0; i < comparison.systems.size(); ++i) {
    const auto& system = comparison.systems[i];
    out += fmt::format("<div class=\"card\">\n<h3>{}<span>{}</span><span class=\"tag\">{}</span></h3>\n<p>{}</p>\n</div>\n",
                       MarkerIcon(i), EscapeXml(system.label), EscapeXml(cap::CapClassName(system.scores.cap_class)),
                       EscapeXml(ClassSentence(system)));
  }
  return out + "</div>\n</div>\n" + HtmlOf(comparison, ScoreTable(comparison));
}

std::string Section(const char* id, const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  return fmt::format("<h2 id=\"{}\">{}</h2>\n", id, title) + HtmlItems("notes", lines);
}

}  // namespace

std::string DrawComparisonRadar(const Comparison& comparison, SvgMode mode) {
  const RadarPlot plot = RadarOf(comparison);
  return AnyScore(plot) ? DrawRadar(plot, mode) : "";
}

std::string RenderComparisonHtml(const Comparison& original) {
  const Comparison comparison = Printable(original);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>moecap compare</title>\n<style>";
  out += ChartStyle();
  out += PageStyle();
  out += "</style>\n</head>\n<body>\n" + Header(comparison) + "<main>\n" + CapSection(comparison);
  std::vector<Chart> planes;
  for (const auto& plane : comparison.planes) {
    if (Chart chart = PlaneChart(comparison, plane); !chart.svg.empty()) planes.push_back(std::move(chart));
  }
  out += "<h2 id=\"fronts\">Pareto fronts</h2>\n" + HtmlFigures("grid2", planes) + HtmlItems("notes", FrontLines(comparison));
  out += "<h2 id=\"figures\">Figures and differences</h2>\n";
  if (const auto invalid = InvalidLines(comparison); !invalid.empty()) out += HtmlItems("notes failed", invalid);
  for (const auto& table : FigureTables(comparison)) out += HtmlOf(comparison, table);
  out += Section("advice", "MoE-CAP&#39;s decision matrix", AdviceLines(comparison));
  out += Section("notes", "Notes", comparison.notes) + Section("method", "What the figures rest on", MethodLines(comparison));
  return out + "</main>\n<footer>moecap compare</footer>\n</body>\n</html>\n";
}

}  // namespace moecap::report
