// The reading half of RunStore.
#include <fmt/format.h>

#include "store/run_store.h"

namespace moecap::store {
namespace {

constexpr const char* kInfoColumns =
    "runs.run_id, runs.path, runs.status, runs.started_at, runs.moecap_version, runs.dataset, runs.problems, runs.host";
constexpr int kInfoColumnCount = 8;

Result<RunInfo> ReadInfo(const Statement& row) {
  RunInfo info;
  info.run_id = row.Text(0);
  info.path = row.Text(1);
  ASSIGN_OR_RETURN(info.status, ParseRunStatus(row.Text(2)));
  info.started_at = row.Text(3);
  info.moecap_version = row.Text(4);
  info.dataset = row.Text(5);
  info.problems = row.Int(6);
  info.host = row.Text(7);
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

StoredSystem ReadSystem(const Statement& row) { return {row.Text(0), row.Text(1), row.Text(2), row.Text(3)}; }

Status ReadCohorts(const Database& database, StoredRun& run) {
  std::string columns = "cohorts.system, concurrency, repeats, requests, failed, valid, energy_is_measured";
  for (const CohortFigure& figure : CohortFigures()) columns += fmt::format(", {}", figure.column);
  const std::string sql = fmt::format(
      "SELECT {} FROM cohorts JOIN systems ON systems.run_id = cohorts.run_id AND systems.name = cohorts.system "
      "WHERE cohorts.run_id = ? ORDER BY systems.position, concurrency",
      columns);
  return ForEachRow(database, sql, run.info.run_id, [&](const Statement& row) {
    Cohort cohort;
    cohort.system = row.Text(0);
    cohort.concurrency = row.Int(1);
    cohort.repeats = row.Int(2);
    cohort.requests = row.Int(3);
    cohort.failed = row.Int(4);
    cohort.valid = row.Int(5) != 0;
    cohort.energy_is_measured = row.Int(6) != 0;
    int column = 7;
    for (const CohortFigure& figure : CohortFigures()) cohort.*figure.member = row.Real(column++);
    run.cohorts.push_back(std::move(cohort));
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
  RETURN_IF_ERROR(ForEachRow(database,
                             "SELECT name, engine, model_id, weight_type FROM systems WHERE run_id = ? ORDER BY position",
                             run_id, [&](const Statement& row) { run.systems.push_back(ReadSystem(row)); }));
  RETURN_IF_ERROR(ReadCohorts(database, run));
  RETURN_IF_ERROR(ForEachRow(
      database, "SELECT key, value, low, high, source, date FROM cost_inputs WHERE run_id = ? ORDER BY rowid", run_id,
      [&](const Statement& row) {
        run.cost_inputs.push_back({row.Text(0), row.Real(1).value_or(0), row.Real(2), row.Real(3), row.Text(4), row.Text(5)});
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

std::string ListSql(const RunFilter& filter) {
  std::string sql = fmt::format(
      "SELECT {}, (SELECT min(concurrency) FROM cohorts WHERE cohorts.run_id = runs.run_id), "
      "(SELECT max(concurrency) FROM cohorts WHERE cohorts.run_id = runs.run_id), "
      "(SELECT max(output_rate_mean_tokens_per_s) FROM cohorts WHERE cohorts.run_id = runs.run_id AND valid) AS rate, "
      "(SELECT max(accuracy) FROM cohorts WHERE cohorts.run_id = runs.run_id AND valid) AS best_accuracy FROM runs {}",
      kInfoColumns, kConditions);
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
    if (select.Real(kInfoColumnCount)) {
      run.min_concurrency = select.Int(kInfoColumnCount);
      run.max_concurrency = select.Int(kInfoColumnCount + 1);
    }
    run.best_output_rate_tokens_per_s = select.Real(kInfoColumnCount + 2);
    run.best_accuracy = select.Real(kInfoColumnCount + 3);
    runs.push_back(std::move(run));
  }
  ASSIGN_OR_RETURN(Statement systems, database_.Prepare("SELECT name, engine, model_id, weight_type FROM systems "
                                                        "WHERE run_id = ? ORDER BY position"));
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
