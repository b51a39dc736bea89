// Where the cost and energy figures come from.
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/words.h"

namespace moecap::report {

namespace {

// "label: value (source)" as a term and its description.
std::string Inputs(const std::vector<std::string>& inputs) {
  std::string out = "<dl class=\"inputs\">\n";
  for (const auto& input : inputs) {
    const size_t colon = input.find(": ");
    const bool labelled = colon != std::string::npos;
    out += "<dt>" + EscapeXml(labelled ? input.substr(0, colon) : "") + "</dt><dd>" +
           EscapeXml(labelled ? input.substr(colon + 2) : input) + "</dd>\n";
  }
  return out + "</dl>\n";
}

}  // namespace

std::string HtmlCostSection(const RunSummary& summary) {
  const auto& host = summary.host;
  std::string out = "<h2 id=\"cost-inputs\">What the cost rests on</h2>\n";
  if (host.cost_inputs.empty()) return out + "<p class=\"lead\">No cost inputs are known.</p>\n";
  out += HtmlItems("findings", CostNotes(summary));
  if (const PlotTable hourly = HourlyCosts(summary); !hourly.rows.empty())
    out += "<div class=\"narrow\">" + HtmlTable("Machine hour", hourly.head, hourly.rows) + "</div>\n";
  return out + "<h3>Inputs</h3>\n" + Inputs(host.cost_inputs);
}

}  // namespace moecap::report
