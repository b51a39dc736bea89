// What the systems gain and give up: the radar, the trade-offs, the axes and the paper's advice.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/units.h"
#include "report/charts.h"
#include "report/figures.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/words.h"

namespace moecap::report {
namespace {

std::string Card(const RunSummary& summary, size_t index) {
  const auto& scores = summary.cap[index];
  const auto score = [](std::optional<double> value) { return value ? FormatFixed(*value, 0) : std::string("–"); };
  std::string out = fmt::format("<div class=\"card\">\n<h3>{}<span>{}</span><span class=\"tag\">{}</span>", MarkerIcon(index),
                                EscapeXml(scores.system), EscapeXml(cap::CapClassName(scores.cap_class)));
  if (ScoresAreInvalid(summary, index)) out += "<span class=\"tag failed\">not valid</span>";
  out += fmt::format("<span class=\"scores\">cost {} · accuracy {} · performance {}</span></h3>\n", score(scores.cost),
                     score(scores.accuracy), score(scores.performance));
  const std::string reason = CapReason(scores);
  if (scores.cap_class != cap::CapClass::kUnknown) {
    // The class itself stands in the tag.
    std::string meaning = ClassMeaning(scores.cap_class);
    meaning.erase(0, meaning.find(", ") + 2);
    meaning[0] = static_cast<char>(meaning[0] - 'a' + 'A');
    out += "<p>" + EscapeXml(meaning) + ".</p>\n";
  } else if (reason.empty()) {
    out += "<p>A figure is missing.</p>\n";
  }
  for (const auto& text : {reason, ClassSupport(scores, summary.cap_resamples)}) {
    if (!text.empty()) out += "<p class=\"lead\">" + EscapeXml(text) + "</p>\n";
  }
  return out + "</div>\n";
}

}  // namespace

std::string HtmlCapSection(const RunSummary& summary) {
  std::string out = "<h2 id=\"cap\">Cost, accuracy, performance</h2>\n";
  const auto radars = RadarCharts(summary, SvgMode::kFragment);
  if (!summary.cap.empty()) {
    out += "<p class=\"lead\">" + EscapeXml(CapScaleNote(summary)) + "</p>\n<div class=\"pair\">\n<div>\n";
    for (const auto& chart : radars) {
      if (chart.name == "cap-radar") out += HtmlFigure(chart);
    }
    out += "</div>\n<div>\n";
    for (size_t i = 0; i < summary.cap.size(); ++i) out += Card(summary, i);
    out += "</div>\n</div>\n";
  }
  out += HtmlFigures("grid3", BarCharts(summary, SvgMode::kFragment));
  if (summary.cap_axes.empty()) return out;
  out += "<h3>Against the limits</h3>\n<div class=\"pair\">\n<div>\n";
  for (const auto& chart : radars) {
    if (chart.name == "cap-radar-robust") out += HtmlFigure(chart);
  }
  return out + "</div>\n" + HtmlItems("notes", AxisNotes(summary)) + "</div>\n";
}

std::string HtmlTradeOffSection(const RunSummary& summary) {
  std::vector<Chart> charts = ParetoCharts(summary, SvgMode::kFragment);
  for (auto& chart : RooflineCharts(summary, SvgMode::kFragment)) charts.push_back(std::move(chart));
  if (charts.empty()) return "";
  return "<h2 id=\"trade-offs\">Trade-offs and limits</h2>\n"
         "<p class=\"lead\">Systems on the stepped line are beaten by none in these two figures, as measured; the classes "
         "above "
         "also weigh the noise. The roofline shows what limits decoding and prefill.</p>\n" +
         HtmlFigures("grid2", charts);
}

std::string HtmlDecisionSection(const RunSummary& summary) {
  const Advice advice = BuildAdvice(summary);
  if (advice.table.rows.empty()) return "";
  return "<h2 id=\"advice\">The paper's advice beside what was measured</h2>\n<p class=\"lead\">" +
         EscapeXml(fmt::format("Which kind of system {} recommends, and how the systems of this run rank on the same goal at "
                               "concurrency {}. The paper's rows hold for its own hardware.",
                               advice.source, summary.cap_concurrency)) +
         "</p>\n" + HtmlTable("", advice.table.head, advice.table.rows, {1, 2, 3, 4, 5});
}

}  // namespace moecap::report
