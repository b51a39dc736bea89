// The index of stored runs: RESULTS_DIR/moecap.db. It holds each run's manifest, summary, figures and cost inputs, tags, and
// pointers to its files; the facts themselves stay in the run folders, from which it can be made again. Tables:
// docs/formats/database.md.
//
// Every change is one transaction: after a crash, a kill or a full disk it is there wholly or not at all. Several processes may
// change one database at once. One RunStore is used by one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/schema.h"

namespace moecap::store {

inline constexpr const char* kDatabaseName = "moecap.db";

enum class RunStatus { kRunning, kComplete, kInterrupted };
// "running", "complete", "interrupted".
std::string_view RunStatusName(RunStatus status);
// Error: kBadInput naming the accepted words.
Result<RunStatus> ParseRunStatus(std::string_view name);

// A file of the run's folder that holds facts. Bytes behind `bytes` do not count.
struct StoredFile {
  std::string name;  // relative to the run's folder
  uint64_t bytes = 0;
  std::optional<std::string> xxh3_64;  // of those bytes, 16 hex digits; null while the run is not complete

  bool operator==(const StoredFile&) const = default;
};

struct StoredCostInput {
  std::string system;
  std::string key;
  double value = 0;
  std::optional<double> low, high;  // the range that the source gives; null = none
  std::string source, date;

  bool operator==(const StoredCostInput&) const = default;
};

struct StoredSystem {
  std::string name, engine, model_id, weight_type;
  std::string machine;  // as it is priced; empty = this host, or not told for a server

  bool operator==(const StoredSystem&) const = default;
};

// A figure by its key in the program's table of figures (cap/figures.inc); what is not measured has no entry.
struct StoredFigure {
  std::string key;  // "tpot_mean_s"
  double value = 0;
  bool estimate = false;  // rests on an estimate

  bool operator==(const StoredFigure&) const = default;
};

// One system at one level.
struct StoredCell {
  std::string system;
  std::string level_kind;  // "clients", "rates_per_s", "users", "replay"
  double level = 0;
  std::string label;  // "8 clients"
  int64_t repeats = 0;
  bool valid = true;                  // no gate tripped
  std::vector<StoredFigure> figures;  // keys differ; sorted by key when read

  bool operator==(const StoredCell&) const = default;
};

// The figures that lists show and sort by.
inline constexpr const char* kOutputRateKey = "output_tokens_per_s";
inline constexpr const char* kAccuracyKey = "accuracy";

struct RunInfo {
  std::string run_id;
  std::string path;  // of its folder, relative to the results folder
  RunStatus status = RunStatus::kRunning;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::string workload;  // one line; empty in rows of older programs
  std::string dataset;   // empty without right answers
  int64_t problems = 0;
  std::string host;  // processor of the machine that measured

  bool operator==(const RunInfo&) const = default;
};

struct StoredRun {
  RunInfo info;
  std::string manifest_json;                // the text of manifest.json
  std::optional<std::string> summary_json;  // null until the run ended
  std::vector<StoredSystem> systems;        // in the order of the configuration
  std::vector<StoredCell> cells;            // by system as above, then ascending level
  std::vector<StoredCostInput> cost_inputs;
  std::vector<StoredFile> files;
  std::vector<std::string> tags;  // sorted

  bool operator==(const StoredRun&) const = default;
};

// What a list shows of a run.
struct RunListing {
  RunInfo info;
  std::vector<StoredSystem> systems;
  std::vector<std::string> tags;
  std::string level_kind;                      // of its cells; empty: nothing was measured yet
  std::optional<double> min_level, max_level;  // null: nothing yet
  // The best of the valid cells.
  std::optional<double> best_output_rate_tokens_per_s, best_accuracy;
};

enum class RunOrder { kStarted, kRunId, kOutputRate, kAccuracy };

// Empty conditions hold for every run. Text is compared without regard to ASCII case.
struct RunFilter {
  std::optional<std::string> model, system, dataset;  // part of the name of one of the run's systems, of its data set
  std::vector<std::string> tags;                      // all of them, whole
  std::optional<RunStatus> status;
  std::optional<std::string> since;     // ISO 8601, "2026-01-31" or longer: started then or later
  std::optional<std::string> id_begin;  // the first characters of the run id
  RunOrder order = RunOrder::kStarted;  // latest, largest or, for run ids, first in the alphabet first
  std::optional<int64_t> limit;
};

class RunStore {
 public:
  // RESULTS_DIR/moecap.db. Errors: as OpenSchema.
  static Result<RunStore> Open(const std::filesystem::path& results_dir, Access access);
  static bool Exists(const std::filesystem::path& results_dir);

  // Stores a run under its id, replacing what was stored of it. Tags are added to those it has.
  Status Put(const StoredRun& run);
  // The same, but an id that is stored already is kBadInput and changes nothing.
  Status Add(const StoredRun& run);
  // Error: kBadInput when no run has this id (for all below).
  Status SetStatus(const std::string& run_id, RunStatus status);
  Status Tag(const std::string& run_id, std::span<const std::string> tags);
  // A tag that the run does not have is kBadInput, too, and then none is taken away.
  Status Untag(const std::string& run_id, std::span<const std::string> tags);
  // `before_commit` may do what belongs to the deletion; when it fails, the run stays. May be empty.
  Status Delete(const std::string& run_id, const std::function<Status()>& before_commit);

  Result<StoredRun> Find(const std::string& run_id) const;
  Result<std::vector<RunListing>> List(const RunFilter& filter) const;

  // The folders of all runs, relative to the results folder.
  Result<std::set<std::string>> Paths() const;

  // SQLite's own check of the whole file, and of its references; one line a problem.
  Result<std::vector<std::string>> CheckIntegrity() const;

  const Database& database() const { return database_; }

 private:
  explicit RunStore(Database database) : database_(std::move(database)) {}
  Status Store(const StoredRun& run, bool replace);
  Status CheckKnown(const std::string& run_id) const;

  Database database_;
};

// What a tag may be: 1 to 64 letters, digits and "._+-:/=@", not starting with "-". Error: kBadInput.
Status CheckTag(std::string_view tag);

}  // namespace moecap::store
