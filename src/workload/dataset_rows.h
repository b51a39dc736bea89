// Rows of a data set's files, whatever their format. Internal to the folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap::workload {

// `place`: "FILE:LINE", or "FILE: row N" where rows have no lines; `number` counts them from 1 (lines, where there are some).
using RowVisitor = std::function<Status(Json& row, const std::string& place, int64_t number)>;

// Calls `visit` with each row, an object, in the file's order; a complaint of `visit` ends it. By the name's ending:
// - .jsonl: an object a line; only '\n' ends a line, empty lines are skipped;
// - .json: an array of objects, or an object with such an array under "data", "rows" or "examples", whose entries may hold the
//   object under "row" (the hub's viewer), or one object, which is the only row;
// - .csv: RFC 4180, texts named by `columns`, or by the first record where `columns` is empty;
// - .parquet: through DuckDB (parquet/parquet.h).
// Errors: kBadInput with the place; of files that cannot be read, of another ending.
Status ReadRows(const std::filesystem::path& path, const std::vector<std::string>& columns, const RowVisitor& visit);

}  // namespace moecap::workload
