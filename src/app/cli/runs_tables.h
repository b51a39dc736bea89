// The facts of stored runs as tables: parquet files, and tables of `moecap runs sql` beside those of the index.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/computed_table.h"

namespace moecap::app {

// Makes the folder `to` with cells.parquet, requests.parquet and passes.parquet of the run in `run_dir`
// (docs/formats/tables.md); it appears as a whole or not at all. Errors: kBadInput when it is there, when the run's facts
// cannot be read, and without DuckDB.
Status WriteParquetTables(const std::filesystem::path& run_dir, const std::filesystem::path& to);

// `requests` and `passes`, of which each run's rows are read from its folder below `results_dir` when they are asked for.
std::vector<store::ComputedTable> FactTables(const std::filesystem::path& results_dir);

}  // namespace moecap::app
