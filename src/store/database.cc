#include "store/database.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/paths.h"

namespace moecap::store {
namespace fs = std::filesystem;
namespace {

// SQLite's own words ("disk I/O error") tell a user neither the file nor what to do; its code tells a developer more.
Error SqliteError(sqlite3* handle, int code, const std::string& path) {
  const int system_error = sqlite3_system_errno(handle);
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return BadInput(
          fmt::format("{} is {}; nothing was changed. The run folders hold the facts: move the file away, or index "
                      "the folders anew with: moecap runs rebuild",
                      path, (code & 0xff) == SQLITE_NOTADB ? "not a database" : "damaged"));
    case SQLITE_FULL:
      return Failed(
          fmt::format("{}: no space left to write; nothing of this change was stored. Free some space and repeat it", path));
    case SQLITE_BUSY:
      return Failed(fmt::format("{} was locked by another process for {} s; repeat the command when that one is done", path,
                                kBusyTimeoutMs / 1000));
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return BadInput(fmt::format("{} cannot be written: it or its folder is read-only; nothing was changed", path));
    case SQLITE_CANTOPEN:
      return BadInput(fmt::format("cannot open the database {}: {}", path,
                                  system_error != 0 ? std::strerror(system_error) : "it is no file that can be one"));
    case SQLITE_IOERR:  // SQLite does not tell the system's reason here
      return Failed(fmt::format(
          "{}: {} failed (code {}); nothing of this change was stored. Look for a full or faulty disk, or a limit on "
          "the size of files",
          path, code == SQLITE_IOERR_WRITE ? "writing" : "reading or writing", code));
    default:
      return Failed(
          fmt::format("{}: the database refused the statement (code {}); nothing of this change was stored", path, code));
  }
}

Error StatementError(sqlite3_stmt* statement, int code) {
  sqlite3* handle = sqlite3_db_handle(statement);
  const char* path = sqlite3_db_filename(handle, "main");
  return SqliteError(handle, code, path != nullptr ? path : "");
}

// A file: URI of SQLite: '?', '#' and '%' mean something in it.
std::string Uri(const fs::path& path, const char* query) {
  std::string uri = "file:";
  for (const char c : Absolute(path).string()) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  return uri + query;
}

// Where the folder cannot be written, SQLite cannot make the shared-memory file that a database in WAL mode needs. Without a
// WAL the main file is all there is, and may be read as one that nobody changes.
bool ReadAsImmutable(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (::access(folder.c_str(), W_OK) == 0) return false;
  std::error_code error;
  const auto wal_bytes = fs::file_size(path.string() + "-wal", error);
  return error || wal_bytes == 0;
}

}  // namespace

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  bind_code_ = SQLITE_OK;
}

void Statement::BindOne(int index, std::string_view text) {
  const int code =
      sqlite3_bind_text64(statement_.get(), index, text.empty() ? "" : text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_code_ = code;
}

void Statement::BindOne(int index, int64_t value) {
  const int code = sqlite3_bind_int64(statement_.get(), index, value);
  if (code != SQLITE_OK) bind_code_ = code;
}

void Statement::BindOne(int index, double value) {
  const int code = sqlite3_bind_double(statement_.get(), index, value);
  if (code != SQLITE_OK) bind_code_ = code;
}

Result<bool> Statement::Step() {
  const int code = bind_code_ != SQLITE_OK ? bind_code_ : sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const bool refused = users_ && (code & 0xff) == SQLITE_ERROR;
  Error error =
      refused ? BadInput(sqlite3_errmsg(sqlite3_db_handle(statement_.get()))) : StatementError(statement_.get(), code);
  sqlite3_reset(statement_.get());
  return error;
}

Status Statement::Run() {
  ASSIGN_OR_RETURN(const bool row, Step());
  CHECK(!row);
  Reset();
  return {};
}

std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return text == nullptr ? "" : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::optional<double> Statement::Real(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
  return sqlite3_column_double(statement_.get(), column);
}

std::optional<std::string> Statement::OptionalText(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
  return Text(column);
}

int Statement::Columns() const { return sqlite3_column_count(statement_.get()); }

std::string Statement::ColumnName(int column) const { return sqlite3_column_name(statement_.get(), column); }

Statement::Kind Statement::KindOf(int column) const {
  switch (sqlite3_column_type(statement_.get(), column)) {
    case SQLITE_NULL:
      return Kind::kNull;
    case SQLITE_INTEGER:
      return Kind::kInteger;
    case SQLITE_FLOAT:
      return Kind::kReal;
    default:
      return Kind::kText;
  }
}

void Database::Closer::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Result<Database> Database::Open(const fs::path& path, OpenMode mode) {
  int flags = SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE;
  flags |= mode == OpenMode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == OpenMode::kCreate) flags |= SQLITE_OPEN_CREATE;
  const bool immutable = mode == OpenMode::kReadOnly && ReadAsImmutable(path);
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(Uri(path, immutable ? "?immutable=1" : "").c_str(), &raw, flags, nullptr);
  Database database(std::unique_ptr<sqlite3, Closer>(raw), path);
  if (code != SQLITE_OK) return SqliteError(raw, code, path.string());
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  // FULL, not NORMAL: in WAL mode NORMAL may lose the last commits at a power failure. A run writes once a unit, so the
  // synchronisation costs nothing that anyone notices.
  RETURN_IF_ERROR(database.Execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"));
  return database;
}

Result<Statement> Database::Prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return SqliteError(handle_.get(), code, path_.string());
  return Statement(statement);
}

Result<Statement> Database::PrepareReading(std::string_view sql) const {
  sqlite3_stmt* handle = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &handle, &rest);
  if (code != SQLITE_OK) return BadInput(sqlite3_errmsg(handle_.get()));
  Statement statement(handle);
  statement.users_ = true;
  const std::string_view behind(rest, static_cast<size_t>(sql.data() + sql.size() - rest));
  if (handle == nullptr) return BadInput("there is no SQL statement in that");
  if (behind.find_first_not_of(" \t\r\n;") != std::string_view::npos) return BadInput("one statement at a time");
  if (sqlite3_stmt_readonly(handle) == 0 || sqlite3_column_count(handle) == 0)
    return BadInput("the index is only read; use SELECT");
  return statement;
}

Status Database::Execute(const std::string& sql) const {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return SqliteError(handle_.get(), code, path_.string());
  return {};
}

Result<int64_t> Database::QueryInt(std::string_view sql) const {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  CHECK(row);
  return statement.Int(0);
}

Result<std::string> Database::QueryText(std::string_view sql) const {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  CHECK(row);
  return statement.Text(0);
}

bool Database::LastWasBusy() const { return (sqlite3_errcode(handle_.get()) & 0xff) == SQLITE_BUSY; }

int64_t Database::Changes() const { return sqlite3_changes64(handle_.get()); }

Result<Transaction> Transaction::Begin(const Database& database, Kind kind) {
  RETURN_IF_ERROR(database.Execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(database);
}

Transaction::~Transaction() {
  // A failed statement may have rolled back already; then this one has nothing to do.
  if (database_ != nullptr) (void)database_->Execute("ROLLBACK");
}

Status Transaction::Commit() {
  RETURN_IF_ERROR(database_->Execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace moecap::store
