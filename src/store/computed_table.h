// Tables of a question in SQL whose rows are not in the database: they are computed of one stored run at a time, when a
// statement comes to it. To SQLite they are eponymous virtual tables.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;

namespace moecap::store {

using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;  // monostate: NULL
using SqlRow = std::vector<SqlValue>;

struct ComputedTable {
  std::string name;
  std::vector<std::string> columns;  // behind `run_id`, which every such table begins with
  // The rows of an indexed run without that column. Of the columns whose `wanted` is false anything will do.
  std::function<Result<std::vector<SqlRow>>(const std::string& run_id, const std::vector<bool>& wanted)> rows_of;
};

// Makes the table known to statements of this connection, whose database has the table `runs`. A statement that names a run
// ("WHERE run_id = ...", or a join) asks for the rows of that run, any other for those of all runs. A failure of `rows_of` is
// the statement's error, as is what it throws.
Status AddComputedTable(sqlite3* database, ComputedTable table);

}  // namespace moecap::store
