// A load test as text tables and sentences: one definition of columns, marks and notes that the terminal, Markdown and HTML
// renderers lay out, each in its own way. Nothing is computed here beyond scaling to the unit of the column.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "metrics/load_summary.h"
#include "report/figures.h"
#include "report/format.h"

namespace moecap::report {

struct LoadRow {
  std::string name;
  std::vector<std::string> values;  // one a column; kMissing for null
  bool bad = false;                 // of a cell that tripped a gate, or a gate that tripped
};

struct LoadTable {
  std::string title;
  std::string key;  // header of the rows' names
  std::vector<FigureColumn> columns;
  std::vector<LoadRow> rows;
};

// Label and text: server, model, workload, load, objectives, client.
std::vector<std::pair<std::string, std::string>> DescribeLoadTest(const metrics::LoadTestSummary& summary);

// "64 clients", with the repetition where a load was measured more than once.
std::string LoadCellName(const metrics::LoadTestSummary& summary, size_t cell);

// One sentence: what the best cell reached.
std::string LoadHeadline(const metrics::LoadTestSummary& summary);

// One row a cell: offered and achieved load, requests, latencies, throughput, goodput.
LoadTable LoadCellsTable(const metrics::LoadTestSummary& summary);

// Of one cell: rows are statistics, column groups the main latencies, with the bounds of each percentile.
LoadTable LoadLatencyTable(const metrics::LoadCell& cell);
// ... one row a remaining figure.
LoadTable LoadOtherFiguresTable(const metrics::LoadCell& cell);
// ... the whole run beside its steady part; no rows where there is none.
LoadTable LoadSteadyTable(const metrics::LoadCell& cell);
LoadTable LoadGateTable(const metrics::LoadCell& cell);

// Failed requests of all cells by kind, with their first messages; no rows without any.
LoadTable LoadErrorTable(const metrics::LoadTestSummary& summary);
LoadTable LoadSearchTable(const metrics::LoadSearch& search);

// What must be known before a figure is used, a sentence each: gates that tripped, an incomplete run, requests held back.
std::vector<std::string> LoadWarnings(const metrics::LoadTestSummary& summary);
// How to read the tables.
std::vector<std::string> LoadNotes(const metrics::LoadTestSummary& summary);

// The figure of that name, or null.
const metrics::LatencyFigure* FindLatency(const metrics::ServingFigures& figures, std::string_view name);
const stats::QuantileEstimate* FindQuantile(const metrics::LatencyFigure* figure, double q);

// The same summary with every text safe to print.
metrics::LoadTestSummary Printable(metrics::LoadTestSummary summary);

}  // namespace moecap::report
