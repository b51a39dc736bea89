// The figures of a run as text tables: one definition of columns, notes and marks that the terminal, Markdown and HTML
// renderers lay out, each in its own way. Nothing is computed here beyond scaling to the unit of the column.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "report/plot_table.h"

namespace moecap::report {

using cap::CellSummary;
using cap::RunSummary;
using cap::SystemSummary;

inline constexpr const char* kMissing = "-";

struct FigureColumn {
  std::string group;   // "TTFT (ms)"
  std::string header;  // "p50"
  bool text = false;   // left-aligned words instead of a number
};

struct FigureRow {
  size_t system = 0;  // index in RunSummary::systems
  int concurrency = 0;
  bool valid = true;
  bool first_of_system = true;
  std::vector<std::string> values;  // one a column; kMissing for null, "~" in front of an estimate
};

// Rows are the cells of every system in order; the system and the concurrency are not among the columns.
struct FigureTable {
  std::string title;
  std::vector<FigureColumn> columns;
  std::vector<FigureRow> rows;
};

// Performance; utilisation; accuracy, cost and energy; the cost and energy of each unit of work; the CAP axes. The last two
// only where they have a figure.
std::vector<FigureTable> BuildTables(const RunSummary& summary);

// Value and robust score of each system on each CAP axis, at the concurrency of the scores; no columns without axes.
FigureTable BuildAxisTable(const RunSummary& summary);

// One row a system: weights, parameters, experts, and the compute ceiling of its S-MFU (empty when it has none of its own).
struct SystemRow {
  std::string name;
  std::string description;  // with the model in parentheses when the systems have different ones
  std::string weights, parameters, active, size, experts, ceiling;
};
std::vector<SystemRow> DescribeSystems(const RunSummary& summary);

// What an hour of the machine costs by each way to pay for it: head and rows of low, typical and high; empty when no price is
// known.
PlotTable HourlyCosts(const RunSummary& summary);

// The paper's decision matrix beside the measured ranking on each row's goal; no rows with fewer than two systems.
struct Advice {
  std::string source;
  PlotTable table;
};
Advice BuildAdvice(const RunSummary& summary);

// The reasons of every gate that tripped in the cell, each once.
std::vector<std::string> InvalidReasons(const CellSummary& cell);
bool IsValid(const CellSummary& cell);

// "F16 at 1, 4: the reason", equal reasons of a system joined.
std::vector<std::string> InvalidNotes(const RunSummary& summary);

// Why figures are missing, as far as the summary tells: "accuracy: no answer was scored (F16)".
std::vector<std::string> MissingNotes(const RunSummary& summary);

// What the marks in the tables mean; only the marks that occur.
std::vector<std::string> LegendNotes(const RunSummary& summary);

// What the axes mean and where their limits come from.
std::vector<std::string> AxisNotes(const RunSummary& summary);

// The cell of `system` at `concurrency`, or null.
const CellSummary* FindCell(const SystemSummary& system, int concurrency);

// Whether system `index` has an invalid cell at the concurrency of the CAP scores, so that its scores must not be used.
bool ScoresAreInvalid(const RunSummary& summary, size_t index);

// The same summary with every text safe to print: no control characters, valid UTF-8.
RunSummary Printable(RunSummary summary);

// Figures that more than one renderer needs. All null-propagating.
using Getter = std::function<std::optional<double>(const SystemSummary&, const CellSummary&)>;

// What can be drawn: no NaN, no infinity, nothing that no measurement yields.
bool Drawable(double value);

// Mean over the MoE layers of the distinct experts of a decode pass.
std::optional<double> MeanDistinctExperts(const CellSummary& cell);

}  // namespace moecap::report
