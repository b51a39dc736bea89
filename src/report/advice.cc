// The paper's decision matrix beside the measured ranking (BuildAdvice).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/units.h"
#include "cap/decision_matrix.h"
#include "report/figures.h"

namespace moecap::report {
namespace {

// The axis that stands for a goal: one that the run was scored on, else the first of the table.
const cap::Axis* AxisFor(const RunSummary& summary, const std::string& goal) {
  for (const cap::AxisId id : {summary.cap_cost_axis, summary.cap_performance_axis}) {
    if (cap::GoalOf(id) == goal) return &cap::AxisOf(id);
  }
  const auto axes = cap::Axes();
  const auto found = std::ranges::find_if(axes, [&goal](const cap::Axis& axis) { return cap::GoalOf(axis.id) == goal; });
  return found == axes.end() ? nullptr : &*found;
}

std::string ValueText(const cap::Axis& axis, double value) {
  if (axis.unit.empty()) return FormatPercent(value, 1);
  if (axis.unit == "s") return FormatSeconds(value);
  return FormatSignificant(value, 3) + (axis.unit.starts_with("USD") ? " USD" : " " + std::string(axis.unit));
}

// "Q4_0 (21.8 ms); F16 (50.3 ms)", best first; kMissing when fewer than two valid systems have the figure.
std::string Ranking(const RunSummary& summary, const cap::Axis& axis) {
  std::vector<std::pair<double, std::string>> known;
  for (const auto& system : summary.systems) {
    const auto* cell = FindCell(system, summary.cap_concurrency);
    if (cell == nullptr || !IsValid(*cell)) continue;
    const auto value = axis.value(summary.host, system, *cell);
    if (value && Drawable(*value)) known.emplace_back(*value, system.name);
  }
  if (known.size() < 2) return kMissing;
  std::ranges::stable_sort(
      known, [&axis](const auto& a, const auto& b) { return axis.higher_is_better ? a.first > b.first : a.first < b.first; });
  std::vector<std::string> parts;
  for (const auto& [value, name] : known) parts.push_back(fmt::format("{} ({})", name, ValueText(axis, value)));
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string BatchText(const cap::DecisionRow& row) {
  return row.largest_batch ? fmt::format("{} to {}", row.least_batch, *row.largest_batch)
                           : fmt::format("{} and more", row.least_batch);
}

}  // namespace

Advice BuildAdvice(const RunSummary& summary) {
  Advice advice;
  if (summary.systems.size() < 2) return advice;
  const cap::DecisionMatrix matrix = cap::BuiltinDecisionMatrix();
  advice.source = matrix.source;
  advice.table.head = {"hardware", "batch", "goal", "recommended", "for", "measured here, best first"};
  for (const auto& row : matrix.rows) {
    const bool fits =
        summary.cap_concurrency >= row.least_batch && summary.cap_concurrency <= row.largest_batch.value_or(INT32_MAX);
    const cap::Axis* axis = AxisFor(summary, row.primary);
    advice.table.rows.push_back({fmt::format("{} ({})", row.tier, row.hardware), BatchText(row) + (fits ? ", as here" : ""),
                                 fmt::format("{}, then {}", row.primary, row.secondary),
                                 fmt::format("{}, {}: {}", row.system, row.configuration, row.reason), row.use_case,
                                 axis == nullptr ? kMissing : Ranking(summary, *axis)});
  }
  return advice;
}

}  // namespace moecap::report
