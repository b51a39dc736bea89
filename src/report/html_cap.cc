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
  if (!summary.cap.empty()) {
    out += "<p class=\"lead\">" + EscapeXml(CapScaleNote(summary)) + "</p>\n<div class=\"pair\">\n<div>\n";
    for (const auto& chart : RadarCharts(summary, SvgMode::kFragment)) out += HtmlFigure(chart);
    out += "</div>\n<div>\n";
    for (size_t i = 0; i < summary.cap.size(); ++i) out += Card(summary, i);
    out += "</div>\n</div>\n";
  }
  return out + HtmlFigures("grid3", BarCharts(summary, SvgMode::kFragment));
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

}  // namespace moecap::report
