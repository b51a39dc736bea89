// A thin owner of SQLite's handles: databases, prepared statements with bound parameters, transactions. Every failure is an
// Error that names the file, what SQLite says, and the remedy; none of them leaves a change half made.
//
// One Database is used by one thread at a time; several processes and Databases may share a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/computed_table.h"

struct sqlite3_stmt;

namespace moecap::store {

// How long a statement waits for another process's write to end. A write takes milliseconds, but SQLite serves those who wait
// in no order: with many writers on a slow disk one may wait for long.
inline constexpr int kBusyTimeoutMs = 60'000;

class Statement {
 public:
  // Parameters are bound in order, from the first on; a null optional binds NULL. An error appears at the next Step.
  template <typename... Values>
  Statement& Bind(const Values&... values) {
    Reset();
    int index = 0;
    (BindOne(++index, values), ...);
    return *this;
  }

  // Binds further parameters, numbered from `first` on (1 = the first).
  Statement& BindFrom(int first, const std::vector<std::string>& values) {
    for (const std::string& value : values) BindOne(first++, value);
    return *this;
  }

  // Advances to the next row; false when there is none. What is wrong with a statement of PrepareReading is told in the words
  // of SQLite or of the computed table that failed.
  Result<bool> Step();
  // Runs a statement that yields no rows and makes it ready to be bound again.
  Status Run();

  // Columns of the current row, counted from 0.
  std::string Text(int column) const;
  int64_t Int(int column) const;
  std::optional<double> Real(int column) const;
  std::optional<std::string> OptionalText(int column) const;

  int Columns() const;
  std::string ColumnName(int column) const;
  enum class Kind : uint8_t { kNull, kInteger, kReal, kText };  // bytes count as text
  Kind KindOf(int column) const;

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };

  void Reset();
  void BindOne(int index, std::string_view text);
  void BindOne(int index, const std::string& text) { BindOne(index, std::string_view(text)); }
  void BindOne(int index, const char* text) { BindOne(index, std::string_view(text)); }
  void BindOne(int index, int64_t value);
  void BindOne(int index, int value) { BindOne(index, int64_t{value}); }
  void BindOne(int index, bool value) { BindOne(index, int64_t{value}); }
  void BindOne(int index, double value);
  template <typename T>
  void BindOne(int index, const std::optional<T>& value) {
    if (value) BindOne(index, *value);  // an unbound parameter is NULL
  }

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  bool users_ = false;  // made by PrepareReading
  int bind_code_ = 0;
};

enum class OpenMode {
  kReadOnly,   // the file must exist; nothing is written, not even beside it, when its folder cannot be written
  kReadWrite,  // the file must exist
  kCreate,     // made if it does not exist
};

class Database {
 public:
  // Foreign keys are enforced, a commit is on the disk when it returns (synchronous = FULL), and statements wait
  // kBusyTimeoutMs for other writers. Reads nothing of the file yet.
  static Result<Database> Open(const std::filesystem::path& path, OpenMode mode);

  // Requires valid SQL: an unknown table or a syntax error is an Error all the same, because the file is foreign.
  Result<Statement> Prepare(std::string_view sql) const;
  // The same of a user's SQL. Error also for text that holds none or several statements, or one that writes.
  Result<Statement> PrepareReading(std::string_view sql) const;
  // A table beside those of the file, for this connection (AddComputedTable).
  Status Add(ComputedTable table) const { return AddComputedTable(handle_.get(), std::move(table)); }
  // One or more statements without parameters.
  Status Execute(const std::string& sql) const;
  // The first column of the first row; requires one.
  Result<int64_t> QueryInt(std::string_view sql) const;
  Result<std::string> QueryText(std::string_view sql) const;
  // Whether the last call failed because another connection holds a lock.
  bool LastWasBusy() const;
  // Rows that the last statement changed.
  int64_t Changes() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  Database(std::unique_ptr<sqlite3, Closer> handle, std::filesystem::path path)
      : handle_(std::move(handle)), path_(std::move(path)) {}

  std::unique_ptr<sqlite3, Closer> handle_;
  std::filesystem::path path_;
};

// BEGIN now, ROLLBACK when it goes out of scope without a successful Commit.
class Transaction {
 public:
  enum class Kind {
    kRead,   // every statement sees the same state
    kWrite,  // takes the write lock at once, so that two writers wait for each other and never deadlock
  };
  // `database` must outlive it.
  static Result<Transaction> Begin(const Database& database, Kind kind);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Status Commit();

 private:
  explicit Transaction(const Database& database) : database_(&database) {}
  const Database* database_;  // null = committed or moved away
};

}  // namespace moecap::store
