#include "report/cell_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/units.h"
#include "report/format.h"

namespace moecap::report {
namespace {

using cap::CellSummary;
using cap::FigureId;

constexpr DisplayUnit ByteUnits(double largest) {
  if (largest >= 1e9) return {"GB", 1e9};
  if (largest >= 1e6) return {"MB", 1e6};
  return {"kB", 1e3};
}

// A percentile by its key: "ttft_p99_s" is the 0.99-quantile of "ttft_s".
const stats::QuantileEstimate* PercentileOf(const CellSummary& cell, const cap::Figure& figure) {
  const size_t at = figure.key.rfind("_p");
  if (at == std::string_view::npos) return nullptr;
  int percent = 0;
  const char* end = figure.key.data() + figure.key.size();
  const auto parsed = std::from_chars(figure.key.data() + at + 2, end, percent);
  if (parsed.ec != std::errc() || std::string_view(parsed.ptr, end) != "_s") return nullptr;
  return FindQuantile(FindLatency(cell.latencies, std::string(figure.key.substr(0, at)) + "_s"), percent / 100.0);
}

// Half of the range, with the decimals of the figure where these show it.
std::string SpreadText(const CellSummary& cell, FigureId id, double unit, const std::string& number) {
  const auto range = RangeOver(cell, id);
  if (!range || number.empty()) return "";
  const double half = (range->high - range->low) / 2 / unit;
  const size_t point = number.find('.');
  const int decimals = point == std::string::npos ? 0 : static_cast<int>(number.size() - point - 1);
  const bool shows = half == 0 || half >= std::pow(10, -decimals);
  return " ±" + (shows ? FormatFixed(half, decimals) : FormatSignificant(half, 1));
}

std::vector<std::string> Counts(const std::vector<std::optional<double>>& values) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(value && std::isfinite(*value) ? FormatFixed(*value, 0) : "");
  return texts;
}

Cell FigureCell(const CellSummary& cell, const FigureColumn& column, const std::string& number, const DisplayUnit& unit) {
  const cap::Figure& figure = cap::FigureOf(column.id);
  const auto value = cell.figures[column.id];
  if (!value) {
    const auto* percentile = PercentileOf(cell, figure);
    return percentile != nullptr && !percentile->supported ? UnsupportedText(percentile->samples_needed) : "";
  }
  // Figures with a spread do not line up anyway.
  const std::string own = NumberText(value, unit.size);
  const std::string spread = column.spread ? SpreadText(cell, column.id, unit.size, own) : "";
  Cell shown(spread.empty() ? number : own + spread);
  if (column.low && column.high)
    shown.text = WithInterval(shown.text, IntervalText(cell.figures[*column.low], cell.figures[*column.high], unit.size));
  shown.estimate = cell.estimates.Has(column.id);
  if (unit.text == "%" && *value > 1) shown.note = fmt::format("above 100 %: {} is {}", figure.name, figure.definition);
  return shown;
}

bool AnyCell(const Table& table, const auto& matches) {
  return std::ranges::any_of(table.rows, [&](const Row& row) { return std::ranges::any_of(row.cells, matches); });
}

// Whether an interval stands behind the accuracy, or behind another figure.
bool ShowsInterval(const Table& table, std::span<const FigureColumn> columns, bool of_accuracy) {
  const bool wanted = std::ranges::any_of(columns, [of_accuracy](const FigureColumn& column) {
    return column.low && (column.id == FigureId::kAccuracy) == of_accuracy;
  });
  return wanted && AnyCell(table, [](const Cell& cell) { return cell.text.find(" to ") != std::string::npos; });
}

// What the marks in the table mean; only those that occur.
std::vector<std::string> LegendOf(const Table& table, std::span<const FigureColumn> columns) {
  const auto has = [&](std::string_view text) {
    return AnyCell(table, [text](const Cell& cell) { return cell.text.find(text) != std::string::npos; });
  };
  std::vector<std::string> legend;
  if (has("±")) legend.emplace_back("±: half of the range from the lowest to the highest repetition.");
  if (ShowsInterval(table, columns, true)) legend.emplace_back("Accuracy: 95 % interval over the problems.");
  if (has("n/a ("))
    legend.emplace_back("n/a (N): this percentile needs N requests; with fewer it would be one of the largest.");
  if (ShowsInterval(table, columns, false))
    legend.emplace_back("(a to b): the band of an estimate, from as few experts as tokens may share to as many.");
  if (AnyCell(table, &Cell::estimate)) legend.emplace_back("~: rests on an estimate; the notes say on which.");
  if (std::ranges::any_of(table.rows, &Row::invalid))
    legend.emplace_back("!: not valid, and in no verdict; the warnings above and the gates say why.");
  return legend;
}

}  // namespace

std::vector<ShownCell> CellsOf(const cap::ExperimentSummary& summary) {
  std::vector<ShownCell> cells;
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const cap::SystemSummary& system = summary.systems[i];
    for (const CellSummary& cell : system.cells)
      cells.push_back({i, summary.systems.size() > 1 ? system.name : "", cell.label, &system, &cell});
  }
  return cells;
}

DisplayUnit UnitOf(const cap::Figure& figure, std::span<const std::optional<double>> values) {
  if (figure.unit == "s") return {"ms", kMilli};
  if (figure.unit.empty()) return {"%", kPercent};
  if (!figure.unit.starts_with("B")) return {std::string(figure.unit), 1};
  double largest = 0;
  for (const auto& value : values) largest = std::max(largest, value.value_or(0));
  DisplayUnit unit = ByteUnits(largest);
  unit.text += figure.unit.substr(1);  // "MB/s"
  return unit;
}

std::string FigureText(FigureId id, std::optional<double> value) {
  const cap::Figure& figure = cap::FigureOf(id);
  if (figure.unit == "s") return SecondsText(value);
  if (figure.unit == "B") return BytesText(value);
  if (figure.unit == "B/s") return RateText(value, "B/s");
  if (figure.unit == "USD") return MoneyText(value);
  if (figure.unit.empty()) return ShareText(value);
  const std::string number = NumberText(value);
  return number.empty() ? "" : fmt::format("{} {}", number, figure.unit);
}

Table CellTable(std::string title, std::span<const ShownCell> cells, std::span<const FigureColumn> columns) {
  Table table{.title = std::move(title), .group_header = "system"};
  table.columns = {{.header = "level", .kind = ColumnKind::kKey}};
  for (const ShownCell& shown : cells) {
    Row row{shown.key};
    row.group = shown.group;
    row.marker = shown.marker;
    row.invalid = !shown.cell->IsValid();
    table.rows.push_back(std::move(row));
  }
  for (const FigureColumn& column : columns) {
    const cap::Figure& figure = cap::FigureOf(column.id);
    std::vector<std::optional<double>> values;
    for (const ShownCell& shown : cells) values.push_back(shown.cell->figures[column.id]);
    const DisplayUnit unit = UnitOf(figure, values);
    // What is counted stands in the name already.
    const bool counts = figure.unit == "requests" || figure.unit == "problems" || figure.unit == "experts";
    const std::vector<std::string> numbers =
        figure.unit == "experts" || !counts ? AlignedNumbers(values, unit.size) : Counts(values);
    std::vector<Cell> texts;
    for (size_t i = 0; i < cells.size(); ++i) texts.push_back(FigureCell(*cells[i].cell, column, numbers[i], unit));
    const bool named = !column.group.empty() || !column.header.empty();
    AddColumn(table,
              {.header = named ? column.header : std::string(figure.name),
               .group = column.group,
               .unit = counts || column.unit_in_header ? "" : unit.text},
              std::move(texts));
  }
  DropEmptyColumns(table);
  if (table.columns.size() == 1) table.rows.clear();
  table.notes = LegendOf(table, columns);
  return table;
}

std::string InvalidReason(const CellSummary& cell) {
  if (cell.repeats == 0) return "no measurement of it is whole";
  std::vector<std::string> reasons;
  for (const metrics::Gate& gate : cell.gates) {
    if (gate.tripped()) reasons.push_back(gate.explanation.empty() ? gate.name : gate.explanation);
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

const metrics::LatencyFigure* FindLatency(std::span<const metrics::LatencyFigure> latencies, std::string_view name) {
  const auto found = std::ranges::find(latencies, name, &metrics::LatencyFigure::name);
  return found == latencies.end() ? nullptr : &*found;
}

const stats::QuantileEstimate* FindQuantile(const metrics::LatencyFigure* figure, double q) {
  if (figure == nullptr) return nullptr;
  const auto found = std::ranges::find_if(
      figure->quantiles, [q](const stats::QuantileEstimate& estimate) { return std::abs(estimate.q - q) < 1e-9; });
  return found == figure->quantiles.end() ? nullptr : &*found;
}

std::optional<ValueRange> RangeOver(const CellSummary& cell, FigureId id) {
  std::optional<ValueRange> range;
  int64_t known = 0;
  for (const cap::MeasurementSummary& measurement : cell.measurements) {
    const auto value = measurement.figures[id];
    if (!measurement.complete || !value || !std::isfinite(*value)) continue;
    if (!range) range = ValueRange{*value, *value};
    range->low = std::min(range->low, *value);
    range->high = std::max(range->high, *value);
    ++known;
  }
  return known >= 2 ? range : std::nullopt;
}

}  // namespace moecap::report
