#include "store/run_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace moecap::store {
namespace fs = std::filesystem;
namespace {

constexpr std::pair<RunStatus, std::string_view> kStatusNames[] = {
    {RunStatus::kRunning, "running"}, {RunStatus::kComplete, "complete"}, {RunStatus::kInterrupted, "interrupted"}};

constexpr CohortFigure kFigures[] = {
    {"ttft_mean_s", &Cohort::ttft_mean_s},
    {"ttft_p50_s", &Cohort::ttft_p50_s},
    {"ttft_p99_s", &Cohort::ttft_p99_s},
    {"tpot_mean_s", &Cohort::tpot_mean_s},
    {"tpot_p50_s", &Cohort::tpot_p50_s},
    {"tpot_p99_s", &Cohort::tpot_p99_s},
    {"itl_p50_s", &Cohort::itl_p50_s},
    {"itl_p99_s", &Cohort::itl_p99_s},
    {"e2e_p50_s", &Cohort::e2e_p50_s},
    {"e2e_p99_s", &Cohort::e2e_p99_s},
    {"output_rate_mean_tokens_per_s", &Cohort::output_rate_mean_tokens_per_s},
    {"request_rate_mean_requests_per_s", &Cohort::request_rate_mean_requests_per_s},
    {"prefill_s_mbu", &Cohort::prefill_s_mbu},
    {"prefill_s_mfu", &Cohort::prefill_s_mfu},
    {"decode_s_mbu", &Cohort::decode_s_mbu},
    {"decode_s_mfu", &Cohort::decode_s_mfu},
    {"accuracy", &Cohort::accuracy},
    {"accuracy_stderr", &Cohort::accuracy_stderr},
    {"usd_per_million_input_tokens", &Cohort::usd_per_million_input_tokens},
    {"usd_per_million_output_tokens", &Cohort::usd_per_million_output_tokens},
    {"joules_per_output_token", &Cohort::joules_per_output_token},
};

Error NoSuchRun(const Database& database, const std::string& run_id) {
  return BadInput(fmt::format("no run {} in {}; list the stored runs with: moecap runs", run_id, database.path().string()));
}

Status InsertSystems(const Database& database, const StoredRun& run) {
  ASSIGN_OR_RETURN(Statement insert,
                   database.Prepare("INSERT INTO systems (run_id, name, position, engine, model_id, weight_type) "
                                    "VALUES (?, ?, ?, ?, ?, ?)"));
  int64_t position = 0;
  for (const StoredSystem& system : run.systems) {
    RETURN_IF_ERROR(
        insert.Bind(run.info.run_id, system.name, position++, system.engine, system.model_id, system.weight_type).Run());
  }
  return {};
}

Status InsertCohorts(const Database& database, const StoredRun& run) {
  ASSIGN_OR_RETURN(Statement insert,
                   database.Prepare("INSERT INTO cohorts (run_id, system, concurrency, repeats, requests, failed, valid, "
                                    "energy_is_measured) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  std::string assignments;
  for (const CohortFigure& figure : kFigures)
    assignments += fmt::format("{}{} = ?", assignments.empty() ? "" : ", ", figure.column);
  ASSIGN_OR_RETURN(Statement update, database.Prepare(fmt::format("UPDATE cohorts SET {} WHERE run_id = ? AND system = ? AND "
                                                                  "concurrency = ?",
                                                                  assignments)));
  for (const Cohort& cohort : run.cohorts) {
    RETURN_IF_ERROR(insert
                        .Bind(run.info.run_id, cohort.system, cohort.concurrency, cohort.repeats, cohort.requests,
                              cohort.failed, cohort.valid, cohort.energy_is_measured)
                        .Run());
    const auto bind = [&](const auto&... figure) {
      update.Bind(cohort.*figure.member..., run.info.run_id, cohort.system, cohort.concurrency);
    };
    std::apply(bind, std::to_array(kFigures));
    RETURN_IF_ERROR(update.Run());
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
  RETURN_IF_ERROR(InsertCohorts(database, run));
  ASSIGN_OR_RETURN(
      Statement cost,
      database.Prepare("INSERT INTO cost_inputs (run_id, key, value, low, high, source, date) VALUES (?, ?, ?, ?, ?, ?, ?)"));
  for (const StoredCostInput& input : run.cost_inputs) {
    RETURN_IF_ERROR(cost.Bind(run_id, input.key, input.value, input.low, input.high, input.source, input.date).Run());
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

std::span<const CohortFigure> CohortFigures() { return kFigures; }

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
      database_.Prepare("INSERT INTO runs (run_id, path, status, started_at, moecap_version, dataset, problems, host) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET path = excluded.path, "
                        "status = excluded.status, started_at = excluded.started_at, moecap_version = "
                        "excluded.moecap_version, dataset = excluded.dataset, problems = excluded.problems, "
                        "host = excluded.host"));
  RETURN_IF_ERROR(insert
                      .Bind(info.run_id, info.path, RunStatusName(info.status), info.started_at, info.moecap_version,
                            info.dataset, info.problems, info.host)
                      .Run());
  for (const char* table : {"documents", "cohorts", "systems", "cost_inputs", "files"}) {
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
