#include "app/cli/runs_tables.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "analysis/record_tables.h"
#include "app/cli/stored_runs.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/paths.h"
#include "parquet/parquet.h"
#include "store/run_files.h"
#include "store/run_store.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

using analysis::FactTable;
using experiment::Results;

// Rows as JSON lines in a file, written out piece by piece: the requests of an hour are gigabytes.
class LineFile {
 public:
  static Result<LineFile> Create(const fs::path& path, const std::string& run_id,
                                 const std::vector<analysis::TableColumn>& columns) {
    ASSIGN_OR_RETURN(AtomicFileWriter writer, AtomicFileWriter::Create(path, 0));
    return LineFile(std::move(writer), run_id, columns);
  }

  Status Add(const std::vector<Json>& row) {
    Json line = {{"run_id", run_id_}};
    for (size_t i = 0; i < row.size(); ++i) line[columns_[i].name] = row[i];
    buffer_ += DumpJson(line) + "\n";
    return buffer_.size() < kPieceBytes ? Status() : WriteOut();
  }

  Status Close() {
    RETURN_IF_ERROR(WriteOut());
    return writer_.Commit();
  }

 private:
  static constexpr size_t kPieceBytes = size_t{1} << 20;

  LineFile(AtomicFileWriter writer, std::string run_id, const std::vector<analysis::TableColumn>& columns)
      : writer_(std::move(writer)), run_id_(std::move(run_id)), columns_(columns) {}

  Status WriteOut() {
    const Status written = writer_.Append(buffer_);
    buffer_.clear();
    return written;
  }

  AtomicFileWriter writer_;
  std::string run_id_, buffer_;
  const std::vector<analysis::TableColumn>& columns_;
};

using RowProducer = std::function<Status(const analysis::RowVisitor& visit)>;

Status WriteTable(const fs::path& folder, const std::string& name, const std::string& run_id,
                  const std::vector<analysis::TableColumn>& columns, const RowProducer& produce) {
  const fs::path lines = folder / (name + ".jsonl");
  ASSIGN_OR_RETURN(LineFile file, LineFile::Create(lines, run_id, columns));
  RETURN_IF_ERROR(produce([&](const std::vector<Json>& row) { return file.Add(row); }));
  RETURN_IF_ERROR(file.Close());
  std::vector<parquet::Column> described = {{"run_id", "VARCHAR"}};
  for (const analysis::TableColumn& column : columns) described.push_back({column.name, column.type});
  RETURN_IF_ERROR(parquet::WriteRows(lines, described, folder / (name + ".parquet")));
  std::error_code error;
  fs::remove(lines, error);
  return error ? Status(Failed(fmt::format("cannot remove {}: {}", lines.string(), error.message()))) : Status();
}

Status WriteTables(const Results& results, const fs::path& folder) {
  const std::string& run_id = results.manifest().run_id;
  ASSIGN_OR_RETURN(const cap::ExperimentSummary summary, SummaryOf(results));
  RETURN_IF_ERROR(WriteTable(folder, "cells", run_id, analysis::CellColumns(),
                             [&](const analysis::RowVisitor& visit) { return analysis::VisitCells(summary, visit); }));
  for (const FactTable table : {FactTable::kRequests, FactTable::kPasses}) {
    RETURN_IF_ERROR(
        WriteTable(folder, std::string(Name(table)), run_id, ColumnsOf(table),
                   [&](const analysis::RowVisitor& visit) { return analysis::VisitFacts(results, table, {}, visit); }));
  }
  return {};
}

// Lists and objects as JSON text, which SQLite takes apart (json_each).
store::SqlValue SqlValueOf(const Json& value) {
  if (value.is_null()) return std::monostate();
  if (value.is_boolean()) return int64_t{value.get<bool>()};
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  return value.is_string() ? value.get<std::string>() : DumpJson(value);
}

Result<std::vector<store::SqlRow>> RowsOf(const fs::path& results_dir, const std::string& run_id, FactTable table,
                                          const std::vector<bool>& wanted) {
  ASSIGN_OR_RETURN(const store::RunStore index, store::RunStore::Open(results_dir, store::Access::kRead));
  ASSIGN_OR_RETURN(const store::StoredRun run, index.Find(run_id));
  ASSIGN_OR_RETURN(const fs::path dir, store::FolderBelow(results_dir, run.info.path));
  ASSIGN_OR_RETURN(const Results results, Results::Open(dir));
  std::vector<store::SqlRow> rows;
  RETURN_IF_ERROR(analysis::VisitFacts(results, table, wanted, [&](const std::vector<Json>& row) -> Status {
    store::SqlRow& values = rows.emplace_back();
    for (const Json& value : row) values.push_back(SqlValueOf(value));
    return {};
  }));
  return rows;
}

}  // namespace

Status WriteParquetTables(const fs::path& run_dir, const fs::path& to) {
  RETURN_IF_ERROR(parquet::CheckLibrary());
  ASSIGN_OR_RETURN(const Results results, Results::Open(run_dir));
  if (Exists(to)) return BadInput(fmt::format("{} exists already; nothing was written", to.string()));
  const fs::path normal = Absolute(to).lexically_normal();
  const fs::path target = normal.has_filename() ? normal : normal.parent_path(), hidden = HiddenName(target, "tmp");
  RETURN_IF_ERROR(MakeWritableDir(hidden));
  Status written = WriteTables(results, hidden);
  std::error_code error;
  if (written.ok()) {
    fs::rename(hidden, target, error);
    if (error) written = Failed(fmt::format("cannot write {}: {}", target.string(), error.message()));
  }
  fs::remove_all(hidden, error);
  return written;
}

std::vector<store::ComputedTable> FactTables(const fs::path& results_dir) {
  std::vector<store::ComputedTable> tables;
  for (const FactTable table : {FactTable::kRequests, FactTable::kPasses}) {
    store::ComputedTable& computed = tables.emplace_back();
    computed.name = Name(table);
    for (const analysis::TableColumn& column : ColumnsOf(table)) computed.columns.push_back(column.name);
    computed.rows_of = [results_dir, table](const std::string& run_id, const std::vector<bool>& wanted) {
      return RowsOf(results_dir, run_id, table, wanted);
    };
  }
  return tables;
}

}  // namespace moecap::app
