#include "store/schema.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iterator>
#include <thread>

#include "base/clock.h"

namespace moecap::store {
namespace fs = std::filesystem;
namespace {

constexpr const char* kVersion1 = R"sql(
CREATE TABLE runs (
  run_id TEXT NOT NULL PRIMARY KEY,
  path TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('running', 'complete', 'interrupted')),
  started_at TEXT NOT NULL,
  moecap_version TEXT NOT NULL,
  dataset TEXT NOT NULL,
  problems INTEGER NOT NULL,
  host TEXT NOT NULL
) STRICT;

CREATE TABLE documents (
  run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('manifest', 'summary')),
  json TEXT NOT NULL,
  PRIMARY KEY (run_id, kind)
) STRICT;

CREATE TABLE systems (
  run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  name TEXT NOT NULL,
  position INTEGER NOT NULL,
  engine TEXT NOT NULL,
  model_id TEXT NOT NULL,
  weight_type TEXT NOT NULL,
  PRIMARY KEY (run_id, name)
) STRICT;

CREATE TABLE cohorts (
  run_id TEXT NOT NULL,
  system TEXT NOT NULL,
  concurrency INTEGER NOT NULL,
  repeats INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  valid INTEGER NOT NULL,
  ttft_mean_s REAL, ttft_p50_s REAL, ttft_p99_s REAL,
  tpot_mean_s REAL, tpot_p50_s REAL, tpot_p99_s REAL,
  itl_p50_s REAL, itl_p99_s REAL,
  e2e_p50_s REAL, e2e_p99_s REAL,
  output_rate_mean_tokens_per_s REAL, request_rate_mean_requests_per_s REAL,
  prefill_s_mbu REAL, prefill_s_mfu REAL, decode_s_mbu REAL, decode_s_mfu REAL,
  accuracy REAL, accuracy_stderr REAL,
  usd_per_million_input_tokens REAL, usd_per_million_output_tokens REAL, joules_per_output_token REAL,
  energy_is_measured INTEGER NOT NULL,
  PRIMARY KEY (run_id, system, concurrency),
  FOREIGN KEY (run_id, system) REFERENCES systems ON DELETE CASCADE
) STRICT;

CREATE TABLE files (
  run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  name TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  xxh3_64 TEXT,
  PRIMARY KEY (run_id, name)
) STRICT;

CREATE TABLE tags (
  run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (run_id, tag)
) STRICT;
)sql";

// The cost inputs of runs that are already there come out of their manifests.
constexpr const char* kVersion2 = R"sql(
CREATE TABLE cost_inputs (
  run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
  key TEXT NOT NULL,
  value REAL NOT NULL,
  low REAL, high REAL,
  source TEXT NOT NULL,
  date TEXT NOT NULL,
  PRIMARY KEY (run_id, key)
) STRICT;

INSERT INTO cost_inputs
SELECT documents.run_id, input.key, json_extract(input.value, '$.value'), json_extract(input.value, '$.low'),
       json_extract(input.value, '$.high'), json_extract(input.value, '$.source'),
       coalesce(json_extract(input.value, '$.date'), '')
FROM documents, json_each(documents.json, '$.cost_inputs') AS input
WHERE documents.kind = 'manifest';

CREATE INDEX runs_by_start ON runs (started_at, run_id);
CREATE INDEX tags_by_tag ON tags (tag);
)sql";

// Figures are rows, so that a new one needs no new column; the columns of cohorts become rows. What was priced once a run holds
// for each of its systems.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE runs ADD COLUMN workload TEXT NOT NULL DEFAULT '';
ALTER TABLE systems ADD COLUMN machine TEXT NOT NULL DEFAULT '';

CREATE TABLE cells (
  run_id TEXT NOT NULL,
  system TEXT NOT NULL,
  level_kind TEXT NOT NULL CHECK (level_kind IN ('clients', 'rates_per_s', 'users', 'replay')),
  level REAL NOT NULL,
  label TEXT NOT NULL,
  repeats INTEGER NOT NULL,
  valid INTEGER NOT NULL,
  PRIMARY KEY (run_id, system, level_kind, level),
  FOREIGN KEY (run_id, system) REFERENCES systems ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE figures (
  run_id TEXT NOT NULL,
  key TEXT NOT NULL,
  system TEXT NOT NULL,
  level_kind TEXT NOT NULL,
  level REAL NOT NULL,
  value REAL NOT NULL,
  estimate INTEGER NOT NULL,
  PRIMARY KEY (run_id, key, system, level_kind, level),
  FOREIGN KEY (run_id, system, level_kind, level) REFERENCES cells ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

INSERT INTO cells
SELECT run_id, system, 'clients', concurrency, concurrency || iif(concurrency = 1, ' client', ' clients'), repeats, valid
FROM cohorts;

INSERT INTO figures
WITH named (run_id, system, level, key, value, estimate) AS (
  SELECT run_id, system, concurrency, 'requests', requests, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'failed', failed, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'ttft_mean_s', ttft_mean_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'ttft_p50_s', ttft_p50_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'ttft_p99_s', ttft_p99_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'tpot_mean_s', tpot_mean_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'tpot_p50_s', tpot_p50_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'tpot_p99_s', tpot_p99_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'itl_p50_s', itl_p50_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'itl_p99_s', itl_p99_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'e2e_p50_s', e2e_p50_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'e2e_p99_s', e2e_p99_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'output_tokens_per_s', output_rate_mean_tokens_per_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'requests_per_s', request_rate_mean_requests_per_s, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'prefill_s_mbu', prefill_s_mbu, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'prefill_s_mfu', prefill_s_mfu, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'decode_s_mbu', decode_s_mbu, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'decode_s_mfu', decode_s_mfu, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'accuracy', accuracy, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'usd_per_million_input_tokens', usd_per_million_input_tokens, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'usd_per_million_output_tokens', usd_per_million_output_tokens, 0 FROM cohorts
  UNION ALL SELECT run_id, system, concurrency, 'joules_per_output_token', joules_per_output_token,
                   energy_is_measured = 0 FROM cohorts
)
SELECT run_id, key, system, 'clients', level, value, estimate FROM named WHERE value IS NOT NULL;

DROP TABLE cohorts;

ALTER TABLE cost_inputs RENAME TO cost_inputs_of_runs;
CREATE TABLE cost_inputs (
  run_id TEXT NOT NULL,
  system TEXT NOT NULL,
  key TEXT NOT NULL,
  value REAL NOT NULL,
  low REAL, high REAL,
  source TEXT NOT NULL,
  date TEXT NOT NULL,
  PRIMARY KEY (run_id, system, key),
  FOREIGN KEY (run_id, system) REFERENCES systems ON DELETE CASCADE
) STRICT;
INSERT INTO cost_inputs
SELECT run_id, systems.name, key, value, low, high, source, date
FROM cost_inputs_of_runs JOIN systems USING (run_id) ORDER BY systems.position, cost_inputs_of_runs.rowid;
DROP TABLE cost_inputs_of_runs;
)sql";

// kMigrations[v] leads from version v to v + 1; version 0 is an empty file.
constexpr const char* kMigrations[] = {kVersion1, kVersion2, kVersion3};
static_assert(std::size(kMigrations) == kSchemaVersion);

struct Header {
  int64_t application_id = 0;
  int64_t version = 0;
  int64_t objects = 0;  // tables, indexes, ...

  bool Empty() const { return application_id == 0 && version == 0 && objects == 0; }
};

// Requires an open transaction: while another process makes the tables, three reads of three states would be a header that
// never was, such as tables without an application id.
Result<Header> ReadHeader(const Database& database) {
  Header header;
  ASSIGN_OR_RETURN(header.application_id, database.QueryInt("PRAGMA application_id"));
  ASSIGN_OR_RETURN(header.version, database.QueryInt("PRAGMA user_version"));
  ASSIGN_OR_RETURN(header.objects, database.QueryInt("SELECT count(*) FROM sqlite_schema"));
  return header;
}

Result<Header> ReadHeaderAtOnce(const Database& database) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database, Transaction::Kind::kRead));
  ASSIGN_OR_RETURN(const Header header, ReadHeader(database));
  RETURN_IF_ERROR(transaction.Commit());
  return header;
}

Status CheckHeader(const Header& header, const fs::path& path) {
  if (header.Empty()) return {};
  if (header.application_id != kApplicationId)
    return BadInput(
        fmt::format("{} is a database of another program; nothing was changed. Choose another --results-dir, or move "
                    "that file away",
                    path.string()));
  if (header.version < 1)
    return BadInput(
        fmt::format("{} has schema version {}, which never was; nothing was changed. Move the file away, or index the "
                    "run folders anew with: moecap runs rebuild",
                    path.string(), header.version));
  if (header.version > kSchemaVersion)
    return BadInput(fmt::format(
        "{} has schema version {}, this program knows versions up to {}; nothing was changed. Use a newer moecap, or "
        "index the run folders anew with: moecap runs rebuild",
        path.string(), header.version, kSchemaVersion));
  return {};
}

// Turning WAL on needs the file for itself for a moment and does not always wait for it, as other statements do. A file system
// without shared memory keeps its rollback journal, which is as safe but lets readers wait for writers.
Status TurnWalOn(const Database& database) {
  const SteadyClock clock;
  const int64_t deadline_ns = clock.NowNs() + int64_t{kBusyTimeoutMs} * 1'000'000;
  while (true) {
    const auto mode = database.QueryText("PRAGMA journal_mode = WAL");
    if (mode.ok()) return {};
    if (!database.LastWasBusy() || clock.NowNs() >= deadline_ns) return mode.error();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

Status Migrate(Database& database, int version) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database, Transaction::Kind::kWrite));
  ASSIGN_OR_RETURN(const Header header, ReadHeader(database));  // another process may have been faster
  RETURN_IF_ERROR(CheckHeader(header, database.path()));
  for (int64_t from = header.version; from < version; ++from) {
    const Status migrated = database.Execute(kMigrations[from]);
    if (!migrated.ok())
      return Annotate(fmt::format("cannot bring {} from schema version {} to {}", database.path().string(), from, from + 1),
                      migrated.error());
  }
  if (header.version < version) {
    RETURN_IF_ERROR(
        database.Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, version)));
  }
  return transaction.Commit();
}

Result<Database> OpenSchema(const fs::path& path, Access access) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const bool writable = ::access(path.c_str(), W_OK) == 0 && ::access(folder.c_str(), W_OK) == 0;
  OpenMode mode = access == Access::kCreate ? OpenMode::kCreate : OpenMode::kReadWrite;
  if (access == Access::kRead && !writable) mode = OpenMode::kReadOnly;
  ASSIGN_OR_RETURN(Database database, Database::Open(path, mode));
  ASSIGN_OR_RETURN(const Header header, ReadHeaderAtOnce(database));
  RETURN_IF_ERROR(CheckHeader(header, path));
  if (header.version == kSchemaVersion) return database;
  if (mode == OpenMode::kReadOnly)
    return BadInput(
        fmt::format("{} has schema version {} and must be brought to {}, but cannot be written; copy its folder to "
                    "where it can be",
                    path.string(), header.version, kSchemaVersion));
  RETURN_IF_ERROR(TurnWalOn(database));
  RETURN_IF_ERROR(Migrate(database, kSchemaVersion));
  return database;
}

}  // namespace moecap::store
