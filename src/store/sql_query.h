// A question to the index of stored runs in SQL.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace moecap::store {

using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;  // monostate: NULL

struct SqlTable {
  std::vector<std::string> columns;
  std::vector<std::vector<SqlValue>> rows;
  bool cut_off = false;  // there were more rows
};

// One statement that only reads, on a connection that cannot write; `most_rows` at most. Error: kBadInput with SQLite's reason,
// and for anything but one reading statement.
Result<SqlTable> QueryIndex(const std::filesystem::path& results_dir, std::string_view sql, size_t most_rows);

}  // namespace moecap::store
