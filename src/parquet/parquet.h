// Parquet files through DuckDB, a library that is looked for only when such a file is met or asked for (tools/fetch_duckdb gets
// it).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::parquet {

// A row as a JSON object, valid during the call, and its number from 1.
using RowVisitor = std::function<Status(std::string_view json, int64_t number)>;

// Calls `visit` with every row in the file's order; its complaint ends it. Errors: kBadInput when the library is not there,
// with the remedy; when it does not read the file, with its reason.
Status ReadRows(const std::filesystem::path& path, const RowVisitor& visit);

// A column of a file that is written. `type` in DuckDB's SQL: "BIGINT", "DOUBLE[]".
struct Column {
  std::string name, type;
};

// Writes a file of JSON lines, an object a row, as a parquet file of these columns, in the lines' order: a key that is absent
// is NULL, one that is no column is left out. An existing file is replaced. Errors: as of ReadRows; kFailed where it cannot be
// written, and for a value that is not of its column's type.
Status WriteRows(const std::filesystem::path& json_lines, const std::vector<Column>& columns,
                 const std::filesystem::path& path);

// Whether that library can be opened and has what is used of it. Errors: as of ReadRows.
Status CheckLibrary();

// The library that would be opened: $MOECAP_DUCKDB, the one that tools/fetch_duckdb fetched, or any of the system. Empty when
// there is none.
std::string FindLibrary();

}  // namespace moecap::parquet
