// Moving runs between folders and the index of stored runs: import, export, deletion, verification, and the index made anew.
// Whatever fails is named and changes nothing.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analysis/index_record.h"
#include "base/result.h"
#include "experiment/results.h"
#include "store/run_store.h"

namespace moecap::analysis {

// Computes the figures of a run from its facts, reading all of them.
using FigureMaker = std::function<Result<DerivedFigures>(const experiment::Results& results)>;

struct ImportedRun {
  std::string run_id;
  std::filesystem::path dir;  // where it lies now
  bool was_there = false;     // it was indexed before; nothing but tags changed
};

// Indexes run folders. One that lies elsewhere is copied into `results_dir`; an export brings its tags. All are checked before
// the first is touched. Errors: kBadInput for a folder that is no whole run (missing or short files, an unknown schema, an
// export whose bytes changed), one that another process is measuring into, or an id that is taken by another run.
Result<std::vector<ImportedRun>> ImportRuns(const std::vector<std::filesystem::path>& dirs,
                                            const std::filesystem::path& results_dir, const FigureMaker& make_figures);

// All of a run, or its manifest and figures alone: enough for reports and comparisons, some hundred kilobytes instead of the
// hundred megabytes that events and experts of each pass may take.
enum class ExportForm : uint8_t { kWhole, kCompact };

// Copies the run's folder with an export record (store/export_record.h) to `to`, which must not exist. Error: kBadInput, also
// for a compact export of a run that is not complete or was measured by version 0.1.
Status ExportRun(const store::RunStore& store, const std::filesystem::path& results_dir, const std::string& run_id,
                 const std::filesystem::path& to, ExportForm form = ExportForm::kWhole);

// Takes the run out of the index and, with `with_files`, removes its folder, which must lie right below `results_dir`.
Status DeleteRun(store::RunStore& store, const std::filesystem::path& results_dir, const std::string& run_id, bool with_files);

struct VerifyReport {
  int64_t runs = 0, files = 0;
  std::vector<std::string> problems;  // one line each, naming run and file
};
// Checks the database file itself, and that the files behind every row exist with the stored size and hash.
Result<VerifyReport> VerifyRuns(const store::RunStore& store, const std::filesystem::path& results_dir);

struct RebuiltIndex {
  int64_t runs = 0;
  std::optional<std::filesystem::path> old_database;  // where the one that was there is now
  std::vector<std::string> notes;                     // what could not be kept, one line each
};
// Makes moecap.db anew from the run folders below `results_dir`. What was there is renamed, never removed; its tags are kept if
// they can be read. Error: kBadInput while a run is being measured.
Result<RebuiltIndex> RebuildIndex(const std::filesystem::path& results_dir, const FigureMaker& make_figures);

// Sets the status of runs whose process ended without saying so: rows that say "running" while nobody is at work in the folder.
Status SettleRunning(store::RunStore& store, const std::filesystem::path& results_dir);

// Folders right below `results_dir` that hold an experiment, of any kind, sorted by name. Those named in `known` are left out
// without a look at them.
std::vector<std::filesystem::path> RunFolders(const std::filesystem::path& results_dir,
                                              const std::set<std::string>& known = {});

}  // namespace moecap::analysis
