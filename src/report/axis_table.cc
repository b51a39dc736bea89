// The table of the CAP axes (BuildAxisTable) and the words around it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/units.h"
#include "report/figures.h"
#include "report/words.h"

namespace moecap::report {
namespace {

// The unit in which an axis is shown, and by what a value is divided to get there.
struct ShownUnit {
  std::string name;
  double size = 1;
};

ShownUnit UnitOf(const cap::Axis& axis) {
  if (axis.unit.empty()) return {"%", 0.01};
  if (axis.unit == "s") return {"ms", 1e-3};
  if (axis.unit == "bytes" || axis.unit == "B") return {"GB", 1e9};
  return {std::string(axis.unit), 1};
}

// As it fits the head of a column.
std::string ShortUnit(const cap::Axis& axis) {
  std::string unit = UnitOf(axis).name;
  if (unit.starts_with("USD per 1M")) return "USD/1M";
  for (const auto& [from, to] : {std::pair(" per output token", "/tok"), {"tokens/s", "tok/s"}, {"requests/s", "req/s"}}) {
    if (const size_t at = unit.find(from); at != std::string::npos) unit.replace(at, std::string_view(from).size(), to);
  }
  return unit;
}

std::string ValueText(const cap::Axis& axis, std::optional<double> value) {
  if (!value || !Drawable(std::abs(*value))) return kMissing;
  return axis.unit.empty() ? FormatFixed(*value * 100, 1) : FormatSignificant(*value / UnitOf(axis).size, 3);
}

template <typename T>
std::optional<T> At(const std::vector<std::optional<T>>& values, size_t index) {
  return index < values.size() ? values[index] : std::nullopt;
}

}  // namespace

FigureTable BuildAxisTable(const RunSummary& summary) {
  FigureTable table{fmt::format("CAP axes at concurrency {}", summary.cap_concurrency), {}, {}};
  for (const auto& axis : summary.cap_axes) {
    const cap::Axis& about = cap::AxisOf(axis.axis);
    table.columns.push_back({std::string(about.name), ShortUnit(about)});
    table.columns.push_back({std::string(about.name), "score"});
  }
  for (size_t i = 0; i < summary.systems.size() && !table.columns.empty(); ++i) {
    const auto* cell = FindCell(summary.systems[i], summary.cap_concurrency);
    if (cell == nullptr) continue;
    FigureRow row{i, cell->concurrency, IsValid(*cell), true, {}};
    for (const auto& axis : summary.cap_axes) {
      row.values.push_back(ValueText(cap::AxisOf(axis.axis), At(axis.values, i)));
      const auto score = At(axis.robust_score, i);
      row.values.push_back(score && Drawable(*score) ? FormatFixed(*score, 0) : kMissing);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> AxisNotes(const RunSummary& summary) {
  std::vector<std::string> notes;
  if (summary.cap_axes.empty()) return notes;
  notes.emplace_back("score: 100 at the limit of the axis; it does not depend on the other systems in view");
  for (const auto& scores : summary.cap_axes) {
    const cap::Axis& axis = cap::AxisOf(scores.axis);
    if (!scores.limit) {
      notes.push_back(
          fmt::format("{}: {}; {}", axis.name, axis.definition,
                      axis.unit.empty() ? "the score is the share itself" : "no limit is known, so there is no score"));
      continue;
    }
    std::string note = fmt::format("{}: limit {} {}, {}", axis.name, ValueText(axis, scores.limit->value), UnitOf(axis).name,
                                   scores.limit->source);
    if (axis.decades > 0) note += fmt::format("; {} points a factor of ten", FormatSignificant(100 / axis.decades, 2));
    notes.push_back(std::move(note));
  }
  return notes;
}

std::string ClassSupport(const cap::CapScores& scores, int64_t resamples) {
  if (!scores.class_support) return "";
  std::string text = fmt::format("The class holds in {} of {} resamples of the measured noise",
                                 FormatPercent(*scores.class_support, *scores.class_support < 0.9995 ? 1 : 0), resamples);
  std::vector<std::string> others;
  for (const auto& other : scores.class_alternatives)
    others.push_back(fmt::format("{} {}", cap::CapClassName(other.cap_class), FormatPercent(other.share, 1)));
  return others.empty() ? text + "." : fmt::format("{}; else {}.", text, fmt::join(others, ", "));
}

std::string ServiceLevelNote(const cap::ServiceLevel& level) {
  std::vector<std::string> limits;
  for (const auto& [name, limit] : {std::pair("TTFT", level.ttft_s), {"TPOT", level.tpot_s}, {"end to end", level.e2e_s}}) {
    if (limit) limits.push_back(fmt::format("{} up to {}", name, FormatSeconds(*limit)));
  }
  return limits.empty() ? "" : "goodput counts the requests that kept the service level: " + JoinWords(limits);
}

}  // namespace moecap::report
