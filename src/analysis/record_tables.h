// The cells, requests and passes of a stored run as tables with a column a fact: what a parquet export holds and what
// `moecap runs sql` can be asked of (docs/formats/tables.md).
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cap/summary.h"
#include "experiment/results.h"

namespace moecap::analysis {

struct TableColumn {
  std::string name;
  std::string type;  // of DuckDB's SQL: "DOUBLE", "BIGINT[]"
};

enum class FactTable : uint8_t { kRequests, kPasses };

std::string_view Name(FactTable table);  // "requests", "passes"
// Behind `run_id`, VARCHAR, with which every row begins.
const std::vector<TableColumn>& ColumnsOf(FactTable table);

// Called with a value a column of ColumnsOf, in their order; null where it is not known.
using RowVisitor = std::function<Status(const std::vector<Json>& row)>;

// Every request or pass of every measurement, in the order in which they were made. Columns whose `wanted` is false are null;
// empty: all are wanted. A run without facts, a compact export or another tool's results, has no row. Errors: those of
// Results::ReadFacts, and of `visit`, whose complaint ends it.
Status VisitFacts(const experiment::Results& results, FactTable table, const std::vector<bool>& wanted,
                  const RowVisitor& visit);

// A row a cell: system, level, and every figure of docs/metrics.md, a column each. `estimates` names those that rest on one.
const std::vector<TableColumn>& CellColumns();
Status VisitCells(const cap::ExperimentSummary& summary, const RowVisitor& visit);

}  // namespace moecap::analysis
