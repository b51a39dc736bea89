// Where the cost and energy figures come from.
#include "report/html_parts.h"
#include "report/words.h"

namespace moecap::report {

std::string HtmlCostSection(const RunSummary& summary) {
  const auto& host = summary.host;
  std::string out = "<h2 id=\"cost-inputs\">What the cost rests on</h2>\n";
  if (host.cost_inputs.empty()) return out + "<p class=\"lead\">No cost inputs are known.</p>\n";
  out += HtmlItems("findings", CostNotes(summary));
  if (const PlotTable hourly = HourlyCosts(summary); !hourly.rows.empty())
    out += "<div class=\"narrow\">" + HtmlTable("Machine hour", hourly.head, hourly.rows) + "</div>\n";
  return out + "<h3>Inputs</h3>\n" + HtmlItems("notes", host.cost_inputs);
}

}  // namespace moecap::report
