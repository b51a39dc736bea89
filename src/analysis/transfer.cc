#include "analysis/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/paths.h"
#include "experiment/manifest_json.h"
#include "store/export_record.h"
#include "store/run_files.h"

namespace moecap::analysis {
namespace fs = std::filesystem;
namespace {

using experiment::Results;
using store::Access;
using store::ExportedFile;
using store::RunStatus;
using store::RunStore;

// "a/b/" and "a/./b" are "a/b".
fs::path Plain(const fs::path& path) {
  const fs::path normal = Absolute(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

struct Candidate {
  Results results;
  fs::path dir;     // where it lies
  fs::path target;  // where it shall lie
  bool copy = false;
  bool was_there = false;
  std::vector<ExportedFile> files;  // to copy
  store::StoredRun run;
};

// What an export's record says and what its folder holds are the same.
Status CompareWithRecord(const store::ExportRecord& record, const std::vector<ExportedFile>& files, const fs::path& dir) {
  std::map<std::string, const ExportedFile*> there;
  for (const ExportedFile& file : files) there[file.name] = &file;
  for (const ExportedFile& file : record.files) {
    if (IsUnfinished(file.name, false)) continue;  // older exports list what a killed write left
    const auto found = there.find(file.name);
    if (found == there.end()) return BadInput(fmt::format("{} is missing from this export", (dir / file.name).string()));
    if (*found->second != file)
      return BadInput(fmt::format("{} is not the file that was exported: {} bytes with hash {} instead of {} with {}",
                                  (dir / file.name).string(), found->second->bytes, found->second->xxh3_64, file.bytes,
                                  file.xxh3_64));
    there.erase(found);
  }
  if (!there.empty())
    return BadInput(fmt::format("{} is not part of this export; remove it", (dir / there.begin()->first).string()));
  return {};
}

// The tags of an export; empty for a plain run folder.
Result<std::vector<std::string>> ReadExport(const fs::path& dir, const std::string& run_id,
                                            const std::vector<ExportedFile>& files) {
  const fs::path path = dir / store::kExportRecordName;
  if (!Exists(path)) return std::vector<std::string>{};
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto record = store::ParseExportRecord(text);
  if (!record.ok()) return Annotate(path.string(), record.error());
  if (record->run_id != run_id)
    return BadInput(fmt::format("{} is of run {}, the manifest beside it of run {}", path.string(), record->run_id, run_id));
  RETURN_IF_ERROR(CompareWithRecord(*record, files, dir));
  return std::move(record->tags);
}

bool SameManifest(const fs::path& a, const fs::path& b, const std::string& file) {
  const auto first = ReadFile(a / file), second = ReadFile(b / file);
  return first.ok() && second.ok() && *first == *second;
}

Result<Candidate> CheckCandidate(const fs::path& given, const fs::path& results_dir, const FigureMaker& make_figures) {
  const fs::path dir = Plain(given);
  ASSIGN_OR_RETURN(Results results, Results::Open(dir));
  const std::string run_id = results.manifest().run_id;
  const fs::path manifest = dir / ManifestFileOf(results);
  if (const Status good = store::CheckRunId(run_id); !good.ok()) return Annotate(manifest.string(), good.error());
  const RunStatus status = StatusOf(results);
  if (status == RunStatus::kRunning)
    return BadInput(fmt::format("{} is being measured by another process; wait until it is done", dir.string()));
  ASSIGN_OR_RETURN(std::vector<ExportedFile> files, store::ListFiles(dir));
  ASSIGN_OR_RETURN(std::vector<std::string> tags, ReadExport(dir, run_id, files));
  auto figures = make_figures(results);
  if (!figures.ok()) return Annotate(dir.string(), figures.error());
  ASSIGN_OR_RETURN(store::StoredRun run, ToStoredRun(results, status, std::move(figures).value()));
  run.tags = std::move(tags);

  std::error_code error;
  const bool in_place = fs::equivalent(dir.parent_path(), results_dir, error);
  const fs::path target = in_place ? dir : Plain(results_dir) / run_id;
  const bool there = !in_place && fs::exists(fs::symlink_status(target, error));
  if (there && !SameManifest(dir, target, ManifestFileOf(results)))
    return BadInput(
        fmt::format("{} holds another run of the same id as {}; nothing was changed", target.string(), dir.string()));
  run.info.path = target.filename().string();
  return Candidate{std::move(results), dir, target, !in_place && !there, false, std::move(files), std::move(run)};
}

// Two folders of one run, or a run that the index has elsewhere.
Status CheckIds(std::vector<Candidate>& candidates, const std::optional<RunStore>& store) {
  std::map<std::string, const Candidate*> by_id;
  for (Candidate& candidate : candidates) {
    const std::string& run_id = candidate.run.info.run_id;
    const auto [other, is_new] = by_id.try_emplace(run_id, &candidate);
    if (!is_new && other->second->target != candidate.target)
      return BadInput(fmt::format("{} and {} are both run {}; import one of them", other->second->dir.string(),
                                  candidate.dir.string(), run_id));
    if (!store) continue;
    const auto stored = store->Find(run_id);
    if (!stored.ok()) continue;
    if (stored->info.path != candidate.run.info.path)
      return BadInput(
          fmt::format("run {} is indexed already, in the folder {}; nothing was changed", run_id, stored->info.path));
    if (candidate.copy && stored->manifest_json != candidate.run.manifest_json)
      return BadInput(
          fmt::format("the index holds another run of the same id as {}; nothing was changed", candidate.dir.string()));
    candidate.was_there = stored->manifest_json == candidate.run.manifest_json && stored->files == candidate.run.files &&
                          stored->info == candidate.run.info && stored->summary_json == candidate.run.summary_json;
  }
  return {};
}

std::string Relative(const store::RunListing& run, const std::string& what) {
  return fmt::format("{}: {}", run.info.run_id, what);
}

// A complete run's files never change again; those of others may have grown since. Version 0.1 kept all measurements in two
// files, of which only the bytes that the manifest counts are part of the run.
Status VerifyFile(const fs::path& dir, const store::StoredFile& file, bool complete) {
  std::error_code error;
  const uintmax_t bytes = fs::file_size(dir / file.name, error);
  if (error) return BadInput(fmt::format("{}: {}", file.name, error.message()));
  const bool may_be_longer = file.name == "requests.jsonl" || file.name == "passes.jsonl";
  if (!complete) return {};
  if (bytes < file.bytes || (bytes > file.bytes && !may_be_longer))
    return BadInput(fmt::format("{} has {} bytes instead of {}", file.name, bytes, file.bytes));
  if (!file.xxh3_64) return {};
  ASSIGN_OR_RETURN(const std::string hash, store::HashFile(dir / file.name, file.bytes));
  if (hash != *file.xxh3_64)
    return BadInput(
        fmt::format("{} has other content than when it was stored (hash {} instead of {})", file.name, hash, *file.xxh3_64));
  return {};
}

// The database with its write-ahead log, under another name beside it.
Result<std::optional<fs::path>> SetAside(const fs::path& database) {
  if (!Exists(database)) return std::optional<fs::path>();
  fs::path aside;
  for (int number = 1; aside.empty() || Exists(aside); ++number) aside = database.string() + fmt::format(".old{}", number);
  for (const char* suffix : {"-wal", "-shm", ""}) {  // a -wal left behind would be taken for the new file's
    std::error_code error;
    if (!fs::exists(database.string() + suffix, error)) continue;
    fs::rename(database.string() + suffix, aside.string() + suffix, error);
    if (error) return Failed(fmt::format("cannot rename {}{}: {}", database.string(), suffix, error.message()));
  }
  return std::optional<fs::path>(aside);
}

// Tags by run id; a database that cannot be read leaves a note instead.
std::map<std::string, std::vector<std::string>> OldTags(const fs::path& results_dir, std::vector<std::string>& notes) {
  std::map<std::string, std::vector<std::string>> tags;
  if (!RunStore::Exists(results_dir)) return tags;
  const auto store = RunStore::Open(results_dir, Access::kRead);
  const auto runs = store.ok() ? store->List({}) : store.error();
  if (!runs.ok()) {
    notes.push_back("the tags of the old database could not be read");
    return tags;
  }
  for (const store::RunListing& run : *runs) {
    if (!run.tags.empty()) tags[run.info.run_id] = run.tags;
  }
  return tags;
}

// A database in a folder of its own until it is whole.
Status FillNewIndex(const fs::path& folder, const fs::path& results_dir, const FigureMaker& make_figures,
                    RebuiltIndex& rebuilt) {
  auto tags = OldTags(results_dir, rebuilt.notes);
  ASSIGN_OR_RETURN(RunStore store, RunStore::Open(folder, Access::kCreate));
  for (const fs::path& dir : RunFolders(results_dir)) {
    auto candidate = CheckCandidate(dir, results_dir, make_figures);
    Status added = candidate.ok() ? Status() : Status(candidate.error());
    if (added.ok()) {
      if (const auto old = tags.extract(candidate->run.info.run_id); !old.empty()) candidate->run.tags = old.mapped();
      added = store.Add(candidate->run);
      if (!added.ok() && added.error().kind != ErrorKind::kBadInput) return added;
    }
    if (added.ok()) {
      ++rebuilt.runs;
    } else {
      rebuilt.notes.push_back(fmt::format("left out: {}", added.error().message));
    }
  }
  for (const auto& [run_id, lost] : tags)
    rebuilt.notes.push_back(fmt::format("run {} has no folder; its row is dropped", run_id));
  return {};
}

}  // namespace

std::vector<fs::path> RunFolders(const fs::path& results_dir, const std::set<std::string>& known) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator entry(results_dir, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.front() == '.' || known.contains(name)) continue;
    if (Results::IsExperiment(entry->path())) folders.push_back(entry->path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

Result<std::vector<ImportedRun>> ImportRuns(const std::vector<fs::path>& dirs, const fs::path& results_dir,
                                            const FigureMaker& make_figures) {
  std::vector<Candidate> candidates;
  for (const fs::path& dir : dirs) {
    ASSIGN_OR_RETURN(Candidate candidate, CheckCandidate(dir, results_dir, make_figures));
    candidates.push_back(std::move(candidate));
  }
  std::optional<RunStore> store;
  if (RunStore::Exists(results_dir)) {
    ASSIGN_OR_RETURN(store, RunStore::Open(results_dir, Access::kReadWrite));
  }
  RETURN_IF_ERROR(CheckIds(candidates, store));
  if (!store) {
    RETURN_IF_ERROR(MakeWritableDir(results_dir));
    ASSIGN_OR_RETURN(store, RunStore::Open(results_dir, Access::kCreate));
  }
  std::vector<ImportedRun> imported;
  for (const Candidate& candidate : candidates) {
    // The same folder given twice is copied once.
    if (candidate.copy && !Exists(candidate.target))
      RETURN_IF_ERROR(store::CopyFolder(candidate.dir, candidate.files, {}, candidate.target));
    if (candidate.was_there) {
      RETURN_IF_ERROR(store->Tag(candidate.run.info.run_id, candidate.run.tags));
    } else {
      RETURN_IF_ERROR(store->Put(candidate.run));
    }
    imported.push_back({candidate.run.info.run_id, candidate.target, candidate.was_there});
  }
  return imported;
}

namespace {

ExportedFile Described(const std::string& name, const std::string& text) {
  return {name, text.size(), fmt::format("{:016x}", HashOf(text))};
}

// What is in the index already: the summary, and the manifest without the files that are left out.
Status ExportCompact(const store::StoredRun& run, const Results& results, RunStatus status, const fs::path& to) {
  const bool is_old = results.manifest().layout != experiment::Manifest::Layout::kExperiment;
  if (is_old || status != RunStatus::kComplete || !run.summary_json) {
    return BadInput(fmt::format("{} is {}, so its facts cannot be left out; export it whole", run.info.run_id,
                                is_old ? "of version 0.1" : "not complete"));
  }
  experiment::Manifest manifest = results.manifest();
  manifest.figures_only = true;
  for (experiment::Measurement& measurement : manifest.measurements) measurement.file_bytes.clear();
  ASSIGN_OR_RETURN(const Json summary, ParseJson(*run.summary_json));
  const std::string manifest_json = DumpJson(experiment::ToJson(manifest)) + "\n";
  const std::string summary_json = DumpJson(summary) + "\n";
  const store::ExportRecord record{
      run.info.run_id,
      status,
      run.tags,
      {Described(experiment::kManifestName, manifest_json), Described(experiment::kSummaryName, summary_json)}};
  return store::CopyFolder(results.dir(), {},
                           {{experiment::kManifestName, manifest_json},
                            {experiment::kSummaryName, summary_json},
                            {store::kExportRecordName, store::WriteExportRecord(record)}},
                           to);
}

}  // namespace

Status ExportRun(const RunStore& store, const fs::path& results_dir, const std::string& run_id, const fs::path& to,
                 ExportForm form) {
  ASSIGN_OR_RETURN(const store::StoredRun run, store.Find(run_id));
  ASSIGN_OR_RETURN(const fs::path dir, store::FolderBelow(results_dir, run.info.path));
  ASSIGN_OR_RETURN(const Results results, Results::Open(dir));
  const RunStatus status = StatusOf(results);
  if (status == RunStatus::kRunning) return BadInput(fmt::format("{} is still being measured; wait until it is done", run_id));
  if (form == ExportForm::kCompact) return ExportCompact(run, results, status, Plain(to));
  ASSIGN_OR_RETURN(std::vector<ExportedFile> files, store::ListFiles(dir));
  const store::ExportRecord record{run_id, status, run.tags, files};
  return store::CopyFolder(dir, files, {{store::kExportRecordName, store::WriteExportRecord(record)}}, Plain(to));
}

Status DeleteRun(RunStore& store, const fs::path& results_dir, const std::string& run_id, bool with_files) {
  ASSIGN_OR_RETURN(const store::StoredRun run, store.Find(run_id));
  if (!with_files) return store.Delete(run_id, {});
  ASSIGN_OR_RETURN(const fs::path dir, store::FolderBelow(results_dir, run.info.path));
  ASSIGN_OR_RETURN(const Results results, Results::Open(dir));
  if (results.manifest().run_id != run_id)
    return BadInput(fmt::format("{} holds run {}; it is left alone", dir.string(), results.manifest().run_id));
  if (StatusOf(results) == RunStatus::kRunning)
    return BadInput(fmt::format("{} is still being measured; wait until it is done", run_id));
  fs::path hidden;
  const Status deleted = store.Delete(run_id, [&]() -> Status {
    ASSIGN_OR_RETURN(hidden, store::HideFolder(dir));
    return {};
  });
  std::error_code error;
  if (!deleted.ok()) {
    if (!hidden.empty()) fs::rename(hidden, dir, error);
    return deleted;
  }
  fs::remove_all(hidden, error);
  if (error)
    return Failed(fmt::format("{} is deleted, but {} could not be removed: {}", run_id, hidden.string(), error.message()));
  return {};
}

Result<VerifyReport> VerifyRuns(const RunStore& store, const fs::path& results_dir) {
  VerifyReport report;
  ASSIGN_OR_RETURN(report.problems, store.CheckIntegrity());
  ASSIGN_OR_RETURN(const std::vector<store::RunListing> runs, store.List({}));
  std::set<std::string> indexed;
  for (const store::RunListing& listing : runs) {
    ++report.runs;
    indexed.insert(listing.info.path);
    ASSIGN_OR_RETURN(const store::StoredRun run, store.Find(listing.info.run_id));
    const auto dir = store::FolderBelow(results_dir, run.info.path);
    if (!dir.ok()) {
      report.problems.push_back(Relative(listing, dir.error().message));
      continue;
    }
    for (const store::StoredFile& file : run.files) {
      ++report.files;
      const Status good = VerifyFile(*dir, file, run.info.status == RunStatus::kComplete);
      if (!good.ok()) report.problems.push_back(Relative(listing, good.error().message));
    }
  }
  for (const fs::path& left : store::LeftOvers(results_dir)) {
    report.problems.push_back(
        fmt::format("{} was left by a command that was killed; remove it unless one is at work", left.string()));
  }
  for (const fs::path& dir : RunFolders(results_dir, indexed)) {
    report.problems.push_back(
        fmt::format("{} is not indexed; index it with: moecap runs import {}", dir.string(), dir.string()));
  }
  return report;
}

Result<RebuiltIndex> RebuildIndex(const fs::path& results_dir, const FigureMaker& make_figures) {
  for (const fs::path& dir : RunFolders(results_dir)) {
    const auto results = Results::Open(dir);
    if (results.ok() && StatusOf(*results) == RunStatus::kRunning)
      return BadInput(fmt::format("{} is still being measured; wait until it is done", dir.string()));
  }
  RETURN_IF_ERROR(MakeWritableDir(results_dir));
  RebuiltIndex rebuilt;
  const fs::path folder = HiddenName(results_dir / "rebuild", "tmp");
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return BadInput(fmt::format("cannot create {}: {}", folder.string(), error.message()));
  Status made = FillNewIndex(folder, results_dir, make_figures, rebuilt);
  if (made.ok()) {
    auto aside = SetAside(results_dir / store::kDatabaseName);
    if (aside.ok()) rebuilt.old_database = *aside;
    made = aside.ok() ? Status() : Status(aside.error());
  }
  if (made.ok()) {
    fs::rename(folder / store::kDatabaseName, results_dir / store::kDatabaseName, error);
    if (error) made = Failed(fmt::format("cannot rename the new database: {}", error.message()));
  }
  fs::remove_all(folder, error);
  if (!made.ok()) return made.error();
  return rebuilt;
}

Status SettleRunning(RunStore& store, const fs::path& results_dir) {
  store::RunFilter filter;
  filter.status = RunStatus::kRunning;
  ASSIGN_OR_RETURN(const std::vector<store::RunListing> runs, store.List(filter));
  for (const store::RunListing& run : runs) {
    const auto results = Results::Open(results_dir / run.info.path);
    const RunStatus status = results.ok() ? StatusOf(*results) : RunStatus::kInterrupted;
    if (status != RunStatus::kRunning) RETURN_IF_ERROR(store.SetStatus(run.info.run_id, status));
  }
  return {};
}

}  // namespace moecap::analysis
