#include "store/run_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::store {
namespace fs = std::filesystem;
namespace {

constexpr std::pair<RunStatus, std::string_view> kStatusNames[] = {
    {RunStatus::kRunning, "running"}, {RunStatus::kComplete, "complete"}, {RunStatus::kInterrupted, "interrupted"}};

Error NoSuchRun(const Database& database, const std::string& run_id) {
  return BadInput(fmt::format("no run {} in {}; list the stored runs with: moecap runs", run_id, database.path().string()));
}

Status InsertSystems(const Database& database, const StoredRun& run) {
  ASSIGN_OR_RETURN(Statement insert,
                   database.Prepare("INSERT INTO systems (run_id, name, position, engine, model_id, weight_type, machine) "
                                    "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  int64_t position = 0;
  for (const StoredSystem& system : run.systems) {
    RETURN_IF_ERROR(
        insert
            .Bind(run.info.run_id, system.name, position++, system.engine, system.model_id, system.weight_type, system.machine)
            .Run());
  }
  return {};
}

Status InsertCells(const Database& database, const StoredRun& run) {
  ASSIGN_OR_RETURN(Statement cells,
                   database.Prepare("INSERT INTO cells (run_id, system, level_kind, level, label, repeats, valid) "
                                    "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  ASSIGN_OR_RETURN(Statement figures,
                   database.Prepare("INSERT INTO figures (run_id, key, system, level_kind, level, value, estimate) "
                                    "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  const std::string& run_id = run.info.run_id;
  for (const StoredCell& cell : run.cells) {
    RETURN_IF_ERROR(cells.Bind(run_id, cell.system, cell.level_kind, cell.level, cell.label, cell.repeats, cell.valid).Run());
    for (const StoredFigure& figure : cell.figures) {
      RETURN_IF_ERROR(
          figures.Bind(run_id, figure.key, cell.system, cell.level_kind, cell.level, figure.value, figure.estimate).Run());
    }
  }
  return {};
}

Status InsertDocument(const Database& database, const std::string& run_id, const char* kind, const std::string& json) {
  ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO documents (run_id, kind, json) VALUES (?, ?, ?)"));
  return insert.Bind(run_id, kind, json).Run();
}

Status InsertDetails(const Database& database, const StoredRun& run) {
  const std::string& run_id = run.info.run_id;
  RETURN_IF_ERROR(InsertDocument(database, run_id, "manifest", run.manifest_json));
  if (run.summary_json) RETURN_IF_ERROR(InsertDocument(database, run_id, "summary", *run.summary_json));
  RETURN_IF_ERROR(InsertSystems(database, run));
  RETURN_IF_ERROR(InsertCells(database, run));
  ASSIGN_OR_RETURN(Statement cost,
                   database.Prepare("INSERT INTO cost_inputs (run_id, system, key, value, low, high, source, date) "
                                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  for (const StoredCostInput& input : run.cost_inputs) {
    RETURN_IF_ERROR(
        cost.Bind(run_id, input.system, input.key, input.value, input.low, input.high, input.source, input.date).Run());
  }
  ASSIGN_OR_RETURN(Statement files, database.Prepare("INSERT INTO files (run_id, name, bytes, xxh3_64) VALUES (?, ?, ?, ?)"));
  for (const StoredFile& file : run.files) {
    RETURN_IF_ERROR(files.Bind(run_id, file.name, static_cast<int64_t>(file.bytes), file.xxh3_64).Run());
  }
  return {};
}

Status InsertTags(const Database& database, const std::string& run_id, std::span<const std::string> tags) {
  ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT OR IGNORE INTO tags (run_id, tag) VALUES (?, ?)"));
  for (const std::string& tag : tags) RETURN_IF_ERROR(insert.Bind(run_id, tag).Run());
  return {};
}

}  // namespace

std::string_view RunStatusName(RunStatus status) {
  for (const auto& [value, name] : kStatusNames) {
    if (value == status) return name;
  }
  return "";
}

Result<RunStatus> ParseRunStatus(std::string_view name) {
  for (const auto& [status, status_name] : kStatusNames) {
    if (status_name == name) return status;
  }
  return BadInput(fmt::format("\"{}\" is no status of a run; use running, complete or interrupted", name));
}

Status CheckTag(std::string_view tag) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+-:/=@").find(c) != std::string_view::npos;
  };
  if (!tag.empty() && tag.size() <= 64 && tag.front() != '-' && std::all_of(tag.begin(), tag.end(), allowed)) return {};
  return BadInput(
      fmt::format("\"{}\" cannot be a tag; use 1 to 64 letters, digits and ._+-:/=@, not starting with \"-\"", tag));
}

Result<RunStore> RunStore::Open(const fs::path& results_dir, Access access) {
  ASSIGN_OR_RETURN(Database database, OpenSchema(results_dir / kDatabaseName, access));
  return RunStore(std::move(database));
}

bool RunStore::Exists(const fs::path& results_dir) {
  std::error_code error;
  return fs::exists(results_dir / kDatabaseName, error);
}

Status RunStore::Put(const StoredRun& run) { return Store(run, true); }

Status RunStore::Add(const StoredRun& run) { return Store(run, false); }

Status RunStore::Store(const StoredRun& run, bool replace) {
  for (const std::string& tag : run.tags) RETURN_IF_ERROR(CheckTag(tag));
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database_, Transaction::Kind::kWrite));
  const RunInfo& info = run.info;
  if (!replace && CheckKnown(info.run_id).ok())
    return BadInput(fmt::format("{} holds a run {} already", database_.path().string(), info.run_id));
  // Not INSERT OR REPLACE: that would delete the row, and the tags with it.
  ASSIGN_OR_RETURN(
      Statement insert,
      database_.Prepare(
          "INSERT INTO runs (run_id, path, status, started_at, moecap_version, workload, dataset, problems, "
          "host) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET path = excluded.path, "
          "status = excluded.status, started_at = excluded.started_at, moecap_version = "
          "excluded.moecap_version, workload = excluded.workload, dataset = excluded.dataset, problems = excluded.problems, "
          "host = excluded.host"));
  RETURN_IF_ERROR(insert
                      .Bind(info.run_id, info.path, RunStatusName(info.status), info.started_at, info.moecap_version,
                            info.workload, info.dataset, info.problems, info.host)
                      .Run());
  for (const char* table : {"documents", "figures", "cells", "cost_inputs", "systems", "files"}) {
    ASSIGN_OR_RETURN(Statement clear, database_.Prepare(fmt::format("DELETE FROM {} WHERE run_id = ?", table)));
    RETURN_IF_ERROR(clear.Bind(info.run_id).Run());
  }
  RETURN_IF_ERROR(InsertDetails(database_, run));
  RETURN_IF_ERROR(InsertTags(database_, info.run_id, run.tags));
  return transaction.Commit();
}

Status RunStore::CheckKnown(const std::string& run_id) const {
  ASSIGN_OR_RETURN(Statement select, database_.Prepare("SELECT 1 FROM runs WHERE run_id = ?"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(run_id).Step());
  if (!row) return NoSuchRun(database_, run_id);
  return {};
}

Status RunStore::SetStatus(const std::string& run_id, RunStatus status) {
  ASSIGN_OR_RETURN(Statement update, database_.Prepare("UPDATE runs SET status = ? WHERE run_id = ?"));
  RETURN_IF_ERROR(update.Bind(RunStatusName(status), run_id).Run());
  if (database_.Changes() == 0) return NoSuchRun(database_, run_id);
  return {};
}

Status RunStore::Tag(const std::string& run_id, std::span<const std::string> tags) {
  for (const std::string& tag : tags) RETURN_IF_ERROR(CheckTag(tag));
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database_, Transaction::Kind::kWrite));
  RETURN_IF_ERROR(CheckKnown(run_id));
  RETURN_IF_ERROR(InsertTags(database_, run_id, tags));
  return transaction.Commit();
}

Status RunStore::Untag(const std::string& run_id, std::span<const std::string> tags) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database_, Transaction::Kind::kWrite));
  RETURN_IF_ERROR(CheckKnown(run_id));
  ASSIGN_OR_RETURN(Statement remove, database_.Prepare("DELETE FROM tags WHERE run_id = ? AND tag = ?"));
  for (const std::string& tag : tags) {
    RETURN_IF_ERROR(remove.Bind(run_id, tag).Run());
    if (database_.Changes() == 0) return BadInput(fmt::format("run {} has no tag \"{}\"; nothing was changed", run_id, tag));
  }
  return transaction.Commit();
}

Status RunStore::Delete(const std::string& run_id, const std::function<Status()>& before_commit) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database_, Transaction::Kind::kWrite));
  RETURN_IF_ERROR(CheckKnown(run_id));
  ASSIGN_OR_RETURN(Statement remove, database_.Prepare("DELETE FROM runs WHERE run_id = ?"));
  RETURN_IF_ERROR(remove.Bind(run_id).Run());
  if (before_commit) RETURN_IF_ERROR(before_commit());
  return transaction.Commit();
}

}  // namespace moecap::store
