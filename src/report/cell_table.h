// Tables of figures of cells: one definition of units, spreads, marks and footnotes. Internal to report/.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/figures.h"
#include "cap/summary.h"
#include "report/document.h"

namespace moecap::report {

// One cell in view and how it is called.
struct ShownCell {
  size_t marker = 0;  // symbol and colour in the charts
  std::string group;  // of its rows: the system; empty in a view without groups
  std::string key;    // "8 clients"
  const cap::SystemSummary* system = nullptr;
  const cap::CellSummary* cell = nullptr;

  std::string Name() const { return group.empty() ? key : group + ", " + key; }
};

// Of every system and level; grouped by system where there are several.
std::vector<ShownCell> CellsOf(const cap::ExperimentSummary& summary);

struct FigureColumn {
  cap::FigureId id;
  std::string group, header;    // both empty: the figure's name
  bool spread = false;          // half of the range over the repetitions behind the figure: "1400 ±85"
  bool unit_in_header = false;  // the header names the unit itself: "J/token"
  std::optional<cap::FigureId> low = std::nullopt, high = std::nullopt;  // an interval behind the figure: "84.0 (72.8 to 91.2)"
};

// How a figure is printed in a column: "ms" and 1e-3.
struct DisplayUnit {
  std::string text;
  double size = 1;
};
DisplayUnit UnitOf(const cap::Figure& figure, std::span<const std::optional<double>> values);
// With its unit: "12.3 ms"; empty for null.
std::string FigureText(cap::FigureId id, std::optional<double> value);

// A row a cell, with a key column; a cell that must not be used is marked. Columns without any
// figure are left out. Below the table stands what the marks in it mean.
Table CellTable(std::string title, std::span<const ShownCell> cells, std::span<const FigureColumn> columns);

// Why a cell must not be used; empty for a valid one.
std::string InvalidReason(const cap::CellSummary& cell);

// Null when it has none of that name, or no such percentile.
const metrics::LatencyFigure* FindLatency(std::span<const metrics::LatencyFigure> latencies, std::string_view name);
const stats::QuantileEstimate* FindQuantile(const metrics::LatencyFigure* figure, double q);

struct ValueRange {
  double low = 0, high = 0;
};
// Over the whole measurements of a cell; null for fewer than two that know the figure.
std::optional<ValueRange> RangeOver(const cap::CellSummary& cell, cap::FigureId id);

}  // namespace moecap::report
