// A question to the index of stored runs in SQL.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/computed_table.h"

namespace moecap::store {

struct SqlTable {
  std::vector<std::string> columns;
  std::vector<SqlRow> rows;
  bool cut_off = false;  // there were more rows
};

// One statement that only reads, on a connection that cannot write; `most_rows` at most. `computed`: tables beside those of the
// index. Error: kBadInput with SQLite's reason, and for anything but one reading statement.
Result<SqlTable> QueryIndex(const std::filesystem::path& results_dir, std::string_view sql, size_t most_rows,
                            std::vector<ComputedTable> computed = {});

}  // namespace moecap::store
