#include "parquet/parquet.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

#include "base/fs.h"

namespace moecap::parquet {
namespace {

namespace fs = std::filesystem;

// What is used of DuckDB's C interface (https://duckdb.org/docs/stable/clients/c/api), which stays the same between releases.
using Handle = void*;
using State = int;  // 0 = success
struct QueryResult {
  uint64_t columns, rows, rows_changed;
  void* column_data;
  char* error_message;
  void* internal;
};

struct Library {
  State (*create_config)(Handle*);
  State (*set_config)(Handle, const char*, const char*);
  void (*destroy_config)(Handle*);
  State (*open_ext)(const char*, Handle*, Handle, char**);
  void (*close)(Handle*);
  State (*connect)(Handle, Handle*);
  void (*disconnect)(Handle*);
  State (*query)(Handle, const char*, QueryResult*);
  void (*destroy_result)(QueryResult*);
  const char* (*result_error)(QueryResult*);
  uint64_t (*row_count)(QueryResult*);
  char* (*value_varchar)(QueryResult*, uint64_t column, uint64_t row);
  void (*free)(void*);
};

constexpr const char* kRemedy =
    "name DuckDB's library (libduckdb.so) in MOECAP_DUCKDB, or run tools/fetch_duckdb in the source tree; JSON lines and CSV "
    "need no library";

Result<Library> Load() {
  const std::string path = FindLibrary();
  if (path.empty())
    return BadInput(fmt::format("parquet files are read and written through DuckDB, which is not installed here; {}", kRemedy));
  // Stays open until the program ends.
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    return BadInput(fmt::format("cannot open {}: {}; {}", path, reason == nullptr ? "no reason given" : reason, kRemedy));
  }
  Library library{};
  std::string missing;
  const auto find = [&]<typename Function>(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(::dlsym(handle, name));
    if (function == nullptr) missing = name;
  };
  find("duckdb_create_config", library.create_config);
  find("duckdb_set_config", library.set_config);
  find("duckdb_destroy_config", library.destroy_config);
  find("duckdb_open_ext", library.open_ext);
  find("duckdb_close", library.close);
  find("duckdb_connect", library.connect);
  find("duckdb_disconnect", library.disconnect);
  find("duckdb_query", library.query);
  find("duckdb_destroy_result", library.destroy_result);
  find("duckdb_result_error", library.result_error);
  find("duckdb_row_count", library.row_count);
  find("duckdb_value_varchar", library.value_varchar);
  find("duckdb_free", library.free);
  if (!missing.empty()) return BadInput(fmt::format("{} has no {}; {}", path, missing, kRemedy));
  return library;
}

// A database in memory, which reads files and fetches nothing.
class Database {
 public:
  explicit Database(const Library& library) : library_(library) {}
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() {
    if (has_result_) library_.destroy_result(&result_);
    if (connection_ != nullptr) library_.disconnect(&connection_);
    if (database_ != nullptr) library_.close(&database_);
  }

  Status Open() {
    Handle config = nullptr;
    char* reason = nullptr;
    State state = library_.create_config(&config);
    for (const auto& [name, value] : {std::pair{"threads", "1"}, std::pair{"autoinstall_known_extensions", "false"},
                                      std::pair{"autoload_known_extensions", "false"}}) {
      state |= library_.set_config(config, name, value);
    }
    state |= library_.open_ext(nullptr, &database_, config, &reason);
    library_.destroy_config(&config);
    if (state == 0) state |= library_.connect(database_, &connection_);
    if (state == 0) return {};
    const Error error = Failed(fmt::format("DuckDB does not start: {}", reason == nullptr ? "no reason given" : reason));
    if (reason != nullptr) library_.free(reason);
    return error;
  }

  Status Query(const std::string& text) {
    has_result_ = true;
    if (library_.query(connection_, text.c_str(), &result_) == 0) return {};
    const char* reason = library_.result_error(&result_);
    return BadInput(reason == nullptr ? "DuckDB gives no reason" : reason);
  }

  Status Visit(const RowVisitor& visit) {
    const uint64_t rows = library_.row_count(&result_);
    for (uint64_t row = 0; row < rows; ++row) {
      char* text = library_.value_varchar(&result_, 0, row);
      if (text == nullptr) return BadInput(fmt::format("row {}: DuckDB gives no text", row + 1));
      const Status status = visit(text, static_cast<int64_t>(row + 1));
      library_.free(text);
      RETURN_IF_ERROR(status);
    }
    return {};
  }

 private:
  const Library& library_;
  Handle database_ = nullptr, connection_ = nullptr;
  QueryResult result_{};
  bool has_result_ = false;
};

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace

std::string FindLibrary() {
  std::error_code error;
  if (const char* named = std::getenv("MOECAP_DUCKDB"); named != nullptr && *named != '\0') return named;
  const fs::path fetched = CacheDir() / "duckdb" / "libduckdb.so";
  if (fs::is_regular_file(fetched, error)) return fetched.string();
  void* handle = ::dlopen("libduckdb.so", RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return "";
  ::dlclose(handle);
  return "libduckdb.so";
}

Status CheckLibrary() {
  const auto library = Load();
  return library ? Status() : library.error();
}

Status ReadRows(const fs::path& path, const RowVisitor& visit) {
  const auto library = Load();
  if (!library.ok()) return Annotate(path.string(), library.error());
  Database database(*library);
  RETURN_IF_ERROR(database.Open());
  const Status read = database.Query(fmt::format("SELECT to_json(t)::VARCHAR FROM read_parquet({}) t", Quoted(path.string())));
  if (!read.ok()) return Annotate(path.string(), read.error());
  return database.Visit(visit);
}

Status WriteRows(const fs::path& json_lines, const std::vector<Column>& columns, const fs::path& path) {
  const auto library = Load();
  if (!library.ok()) return Annotate(path.string(), library.error());
  Database database(*library);
  RETURN_IF_ERROR(database.Open());
  std::string types;
  for (const Column& column : columns)
    types += fmt::format("{}{}: {}", types.empty() ? "" : ", ", Quoted(column.name), Quoted(column.type));
  // Requests with a hundred thousand tokens are objects of megabytes.
  const Status written = database.Query(fmt::format(
      "COPY (SELECT * FROM read_json({}, format = 'newline_delimited', maximum_object_size = 268435456, columns = {{{}}})) "
      "TO {} (FORMAT parquet, COMPRESSION zstd)",
      Quoted(json_lines.string()), types, Quoted(path.string())));
  return written.ok() ? written : Failed(fmt::format("{}: {}", path.string(), written.error().message));
}

}  // namespace moecap::parquet
