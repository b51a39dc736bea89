#include "web/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analysis/index_record.h"
#include "analysis/transfer.h"
#include "base/folder_lock.h"
#include "base/paths.h"
#include "store/run_files.h"

namespace moecap::web {
namespace fs = std::filesystem;
namespace {

std::string VersionOf(const experiment::Results& results) {
  const fs::path manifest = results.dir() / analysis::ManifestFileOf(results);
  std::error_code code;
  const auto written = fs::last_write_time(manifest, code).time_since_epoch().count();
  return fmt::format("{} {} {}", results.dir().string(), written, fs::file_size(manifest, code));
}

Error NoRun(const std::string& run_id) { return BadInput(fmt::format("no run \"{}\" is stored here", run_id)); }

}  // namespace

Result<std::optional<store::RunStore>> Library::Index() const {
  std::optional<store::RunStore> index;
  if (store::RunStore::Exists(results_dir_)) {
    ASSIGN_OR_RETURN(index, store::RunStore::Open(results_dir_, store::Access::kRead));
  }
  return index;
}

Result<fs::path> Library::FolderOf(const std::string& run_id) const {
  const auto named = store::FolderBelow(results_dir_, run_id);
  if (named.ok() && experiment::Results::IsExperiment(*named)) return *named;
  // An imported folder may be called otherwise than its run.
  ASSIGN_OR_RETURN(const auto index, Index());
  if (!index) return NoRun(run_id);
  ASSIGN_OR_RETURN(const auto runs, index->List({.id_begin = run_id}));
  const auto run = std::ranges::find(runs, run_id, [](const store::RunListing& listing) { return listing.info.run_id; });
  if (run == runs.end()) return NoRun(run_id);
  ASSIGN_OR_RETURN(const fs::path folder, store::FolderBelow(results_dir_, run->info.path));
  if (!experiment::Results::IsExperiment(folder))
    return BadInput(fmt::format("run {} is in the index, but its folder {} holds no run", run_id, run->info.path));
  return folder;
}

Result<experiment::Results> Library::OpenRun(const std::string& run_id) const {
  ASSIGN_OR_RETURN(const fs::path folder, FolderOf(run_id));
  return experiment::Results::Open(folder);
}

Result<cap::ExperimentSummary> Library::SummaryOf(const experiment::Results& results) const {
  const std::string key = VersionOf(results);
  {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find(kept_, key, &Kept::key);
    if (known != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, known);
      return *known->summary;
    }
  }
  ASSIGN_OR_RETURN(cap::ExperimentSummary summary, summarize_(results));
  const std::lock_guard lock(mutex_);
  kept_.push_front({key, std::make_shared<const cap::ExperimentSummary>(summary)});
  if (kept_.size() > kMostKept) kept_.pop_back();
  return summary;
}

Result<cap::JudgedExperiment> Library::Judged(const experiment::Results& results) const {
  return analysis::JudgeStored(results, {}, [this](const experiment::Results& stored) { return SummaryOf(stored); });
}

Result<std::vector<std::string>> Library::NotIndexed() const {
  std::set<std::string> indexed;
  ASSIGN_OR_RETURN(const auto index, Index());
  if (index) {
    ASSIGN_OR_RETURN(indexed, index->Paths());
  }
  std::vector<std::string> names;
  for (const fs::path& folder : analysis::RunFolders(results_dir_, indexed)) names.push_back(folder.filename().string());
  return names;
}

std::vector<experiment::Results> Library::Running() const {
  // A run says in the index that it has begun; where that failed it is in none. All others need not be looked at.
  std::vector<std::string> folders;
  if (auto missing = NotIndexed(); missing.ok()) folders = *std::move(missing);
  const auto index = Index();
  const auto begun = index.ok() && *index ? (*index)->List({.status = store::RunStatus::kRunning})
                                          : Result<std::vector<store::RunListing>>(std::vector<store::RunListing>{});
  if (begun.ok()) {
    for (const store::RunListing& run : *begun) folders.push_back(run.info.path);
  }
  std::vector<experiment::Results> running;
  for (const std::string& name : folders) {
    const auto folder = store::FolderBelow(results_dir_, name);
    if (!folder.ok() || !IsFolderLocked(*folder)) continue;
    auto results = experiment::Results::Open(*folder);
    if (results.ok() && !results->manifest().complete) running.push_back(*std::move(results));
  }
  return running;
}

}  // namespace moecap::web
