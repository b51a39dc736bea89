// Parquet files through DuckDB, a library that is looked for only when such a file is met (tools/fetch_duckdb gets it).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace moecap::parquet {

// A row as a JSON object, valid during the call, and its number from 1.
using RowVisitor = std::function<Status(std::string_view json, int64_t number)>;

// Calls `visit` with every row in the file's order; its complaint ends it. Errors: kBadInput when the library is not there,
// with the remedy; when it does not read the file, with its reason.
Status ReadRows(const std::filesystem::path& path, const RowVisitor& visit);

// Whether that library can be opened and has what is used of it. Errors: as of ReadRows.
Status CheckLibrary();

// The library that would be opened: $MOECAP_DUCKDB, the one that tools/fetch_duckdb fetched, or any of the system. Empty when
// there is none.
std::string FindLibrary();

}  // namespace moecap::parquet
