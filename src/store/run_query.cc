// The reading half of RunStore.
#include <fmt/format.h>

#include <algorithm>

#include "store/run_store.h"

namespace moecap::store {
namespace {

constexpr const char* kInfoColumns =
    "runs.run_id, runs.path, runs.status, runs.started_at, runs.moecap_version, runs.workload, runs.dataset, "
    "runs.problems, runs.host";
constexpr int kInfoColumnCount = 9;

Result<RunInfo> ReadInfo(const Statement& row) {
  RunInfo info;
  info.run_id = row.Text(0);
  info.path = row.Text(1);
  ASSIGN_OR_RETURN(info.status, ParseRunStatus(row.Text(2)));
  info.started_at = row.Text(3);
  info.moecap_version = row.Text(4);
  info.workload = row.Text(5);
  info.dataset = row.Text(6);
  info.problems = row.Int(7);
  info.host = row.Text(8);
  return info;
}

template <typename Read>
Status ForEachRow(Statement& select, const Read& read) {
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return {};
    read(select);
  }
}

// The one parameter of `sql` is the run's id.
template <typename Read>
Status ForEachRow(const Database& database, const std::string& sql, const std::string& run_id, const Read& read) {
  ASSIGN_OR_RETURN(Statement select, database.Prepare(sql));
  return ForEachRow(select.Bind(run_id), read);
}

constexpr const char* kSelectSystems =
    "SELECT name, engine, model_id, weight_type, machine FROM systems WHERE run_id = ? ORDER BY position";

StoredSystem ReadSystem(const Statement& row) { return {row.Text(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4)}; }

Status ReadCells(const Database& database, StoredRun& run) {
  const std::string& run_id = run.info.run_id;
  RETURN_IF_ERROR(ForEachRow(
      database,
      "SELECT cells.system, level_kind, level, label, repeats, valid FROM cells JOIN systems ON systems.run_id = cells.run_id "
      "AND systems.name = cells.system WHERE cells.run_id = ? ORDER BY systems.position, level_kind, level",
      run_id, [&](const Statement& row) {
        run.cells.push_back({row.Text(0), row.Text(1), row.Real(2).value_or(0), row.Text(3), row.Int(4), row.Int(5) != 0, {}});
      }));
  const auto find = [&](const std::string& system, const std::string& kind, double level) {
    return std::find_if(run.cells.begin(), run.cells.end(), [&](const StoredCell& cell) {
      return cell.system == system && cell.level_kind == kind && cell.level == level;
    });
  };
  return ForEachRow(database,
                    "SELECT system, level_kind, level, key, value, estimate FROM figures WHERE run_id = ? ORDER BY key", run_id,
                    [&](const Statement& row) {
                      const auto cell = find(row.Text(0), row.Text(1), row.Real(2).value_or(0));
                      if (cell != run.cells.end())
                        cell->figures.push_back({row.Text(3), row.Real(4).value_or(0), row.Int(5) != 0});
                    });
}

Status ReadDetails(const Database& database, StoredRun& run) {
  const std::string& run_id = run.info.run_id;
  RETURN_IF_ERROR(ForEachRow(database, "SELECT kind, json FROM documents WHERE run_id = ?", run_id, [&](const Statement& row) {
    if (row.Text(0) == "manifest") {
      run.manifest_json = row.Text(1);
    } else {
      run.summary_json = row.Text(1);
    }
  }));
  RETURN_IF_ERROR(
      ForEachRow(database, kSelectSystems, run_id, [&](const Statement& row) { run.systems.push_back(ReadSystem(row)); }));
  RETURN_IF_ERROR(ReadCells(database, run));
  RETURN_IF_ERROR(ForEachRow(
      database, "SELECT system, key, value, low, high, source, date FROM cost_inputs WHERE run_id = ? ORDER BY rowid", run_id,
      [&](const Statement& row) {
        run.cost_inputs.push_back(
            {row.Text(0), row.Text(1), row.Real(2).value_or(0), row.Real(3), row.Real(4), row.Text(5), row.Text(6)});
      }));
  RETURN_IF_ERROR(ForEachRow(database, "SELECT name, bytes, xxh3_64 FROM files WHERE run_id = ? ORDER BY rowid", run_id,
                             [&](const Statement& row) {
                               run.files.push_back({row.Text(0), static_cast<uint64_t>(row.Int(1)), row.OptionalText(2)});
                             }));
  return ForEachRow(database, "SELECT tag FROM tags WHERE run_id = ? ORDER BY tag", run_id,
                    [&](const Statement& row) { run.tags.push_back(row.Text(0)); });
}

// Conditions that are not asked for get NULL, which makes them true.
constexpr const char* kConditions =
    "WHERE (?1 IS NULL OR EXISTS (SELECT 1 FROM systems WHERE systems.run_id = runs.run_id"
    "                             AND instr(lower(model_id), lower(?1)) > 0)) "
    "AND (?2 IS NULL OR EXISTS (SELECT 1 FROM systems WHERE systems.run_id = runs.run_id"
    "                           AND instr(lower(name), lower(?2)) > 0)) "
    "AND (?3 IS NULL OR instr(lower(dataset), lower(?3)) > 0) "
    "AND (?4 IS NULL OR status = ?4) "
    "AND (?5 IS NULL OR started_at >= ?5) "
    "AND (?6 IS NULL OR substr(runs.run_id, 1, length(?6)) = ?6) ";

const char* OrderBy(RunOrder order) {
  switch (order) {
    case RunOrder::kStarted:
      return "started_at DESC, runs.run_id DESC";
    case RunOrder::kRunId:
      return "runs.run_id";
    case RunOrder::kOutputRate:
      return "rate DESC NULLS LAST, runs.run_id";
    case RunOrder::kAccuracy:
      return "best_accuracy DESC NULLS LAST, runs.run_id";
  }
  return "runs.run_id";
}

// The largest value of a figure among the valid cells of a run.
std::string BestOf(const char* key) {
  return fmt::format(
      "(SELECT max(value) FROM figures JOIN cells USING (run_id, system, level_kind, level) "
      "WHERE figures.run_id = runs.run_id AND key = '{}' AND valid)",
      key);
}

std::string ListSql(const RunFilter& filter) {
  std::string sql = fmt::format(
      "SELECT {}, (SELECT min(level_kind) FROM cells WHERE cells.run_id = runs.run_id), "
      "(SELECT min(level) FROM cells WHERE cells.run_id = runs.run_id), "
      "(SELECT max(level) FROM cells WHERE cells.run_id = runs.run_id), "
      "{} AS rate, {} AS best_accuracy FROM runs {}",
      kInfoColumns, BestOf(kOutputRateKey), BestOf(kAccuracyKey), kConditions);
  for (size_t i = 0; i < filter.tags.size(); ++i) {
    sql += fmt::format("AND EXISTS (SELECT 1 FROM tags WHERE tags.run_id = runs.run_id AND tag = ?{}) ", i + 8);
  }
  return sql + fmt::format("ORDER BY {} LIMIT coalesce(?7, -1)", OrderBy(filter.order));
}

}  // namespace

Result<StoredRun> RunStore::Find(const std::string& run_id) const {
  ASSIGN_OR_RETURN(const Transaction transaction, Transaction::Begin(database_, Transaction::Kind::kRead));
  RETURN_IF_ERROR(CheckKnown(run_id));
  ASSIGN_OR_RETURN(Statement select, database_.Prepare(fmt::format("SELECT {} FROM runs WHERE run_id = ?", kInfoColumns)));
  ASSIGN_OR_RETURN(const bool row, select.Bind(run_id).Step());
  CHECK(row);
  StoredRun run;
  ASSIGN_OR_RETURN(run.info, ReadInfo(select));
  RETURN_IF_ERROR(ReadDetails(database_, run));
  return run;
}

Result<std::vector<RunListing>> RunStore::List(const RunFilter& filter) const {
  ASSIGN_OR_RETURN(const Transaction transaction, Transaction::Begin(database_, Transaction::Kind::kRead));
  ASSIGN_OR_RETURN(Statement select, database_.Prepare(ListSql(filter)));
  std::optional<std::string> status;
  if (filter.status) status = RunStatusName(*filter.status);
  select.Bind(filter.model, filter.system, filter.dataset, status, filter.since, filter.id_begin, filter.limit);
  select.BindFrom(8, filter.tags);
  std::vector<RunListing> runs;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    RunListing run;
    ASSIGN_OR_RETURN(run.info, ReadInfo(select));
    run.level_kind = select.OptionalText(kInfoColumnCount).value_or("");
    run.min_level = select.Real(kInfoColumnCount + 1);
    run.max_level = select.Real(kInfoColumnCount + 2);
    run.best_output_rate_tokens_per_s = select.Real(kInfoColumnCount + 3);
    run.best_accuracy = select.Real(kInfoColumnCount + 4);
    runs.push_back(std::move(run));
  }
  ASSIGN_OR_RETURN(Statement systems, database_.Prepare(kSelectSystems));
  ASSIGN_OR_RETURN(Statement tags, database_.Prepare("SELECT tag FROM tags WHERE run_id = ? ORDER BY tag"));
  for (RunListing& run : runs) {
    RETURN_IF_ERROR(
        ForEachRow(systems.Bind(run.info.run_id), [&](const Statement& row) { run.systems.push_back(ReadSystem(row)); }));
    RETURN_IF_ERROR(ForEachRow(tags.Bind(run.info.run_id), [&](const Statement& row) { run.tags.push_back(row.Text(0)); }));
  }
  return runs;
}

Result<std::set<std::string>> RunStore::Paths() const {
  std::set<std::string> paths;
  ASSIGN_OR_RETURN(Statement select, database_.Prepare("SELECT path FROM runs"));
  RETURN_IF_ERROR(ForEachRow(select, [&](const Statement& row) { paths.insert(row.Text(0)); }));
  return paths;
}

Result<std::vector<std::string>> RunStore::CheckIntegrity() const {
  std::vector<std::string> problems;
  ASSIGN_OR_RETURN(Statement integrity, database_.Prepare("PRAGMA integrity_check"));
  RETURN_IF_ERROR(ForEachRow(integrity, [&](const Statement& row) {
    if (row.Text(0) != "ok") problems.push_back(row.Text(0));
  }));
  ASSIGN_OR_RETURN(Statement references, database_.Prepare("PRAGMA foreign_key_check"));
  RETURN_IF_ERROR(ForEachRow(references, [&](const Statement& row) {
    problems.push_back(fmt::format("a row of {} belongs to no row of {}", row.Text(0), row.Text(2)));
  }));
  return problems;
}

}  // namespace moecap::store
