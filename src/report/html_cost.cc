// Where the cost and energy figures come from.
#include <fmt/format.h>

#include "base/units.h"
#include "report/html_parts.h"
#include "report/svg.h"

namespace moecap::report {

std::string HtmlCostSection(const RunSummary& summary) {
  const auto& host = summary.host;
  std::string out = "<h2 id=\"cost-inputs\">Cost inputs</h2>\n";
  if (host.purchase_usd) {
    out += fmt::format("<p>The machine costs USD {} to buy, as far as the prices of its parts are known.</p>\n",
                       EscapeXml(FormatSignificant(*host.purchase_usd, 3)));
  }
  if (host.cost_inputs.empty()) return out + "<p class=\"lead\">No cost inputs are known.</p>\n";
  return out + HtmlItems("notes", host.cost_inputs);
}

}  // namespace moecap::report
