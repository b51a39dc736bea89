// What the cost figures rest on (HourlyCosts, CostNotes).
#include <fmt/format.h>

#include "base/units.h"
#include "report/figures.h"
#include "report/words.h"

namespace moecap::report {
namespace {

std::string Usd(const std::optional<double>& value) { return value ? FormatSignificant(*value, 3) : kMissing; }

bool Known(const cost::Range& range) { return range.low || range.typical || range.high; }

}  // namespace

PlotTable HourlyCosts(const RunSummary& summary) {
  const auto& host = summary.host;
  PlotTable table{{"USD per useful hour", "low", "typical", "high"}, {}};
  for (const auto& [name, range] : {std::pair("owned", host.own_usd_per_useful_h), {"rented", host.rent_usd_per_useful_h}}) {
    if (Known(range)) table.rows.push_back({name, Usd(range.low), Usd(range.typical), Usd(range.high)});
  }
  return table.rows.empty() ? PlotTable{} : table;
}

std::vector<std::string> CostNotes(const RunSummary& summary) {
  const auto& host = summary.host;
  std::vector<std::string> notes;
  if (host.purchase_usd)
    notes.push_back(fmt::format("The machine costs USD {} to buy, as far as the prices of its parts are known.",
                                FormatSignificant(*host.purchase_usd, 3)));
  for (const auto& row : HourlyCosts(summary).rows)
    notes.push_back(fmt::format("A useful hour {}: USD {} (low {}, high {}).", row[0], row[2], row[1], row[3]));
  if (!host.pay.empty())
    notes.push_back(
        fmt::format("The cost figures rest on the typical price of the machine {}.", host.pay == "rent" ? "rented" : "owned"));
  if (const auto& share = host.break_even_utilisation) {
    notes.push_back(*share > 1
                        ? "Renting is cheaper than owning at any utilisation."
                        : fmt::format("Owning is cheaper than renting from a utilisation of {} on.", FormatPercent(*share, 0)));
  }
  return notes;
}

}  // namespace moecap::report
