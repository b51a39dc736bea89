#include "app/sweep_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "analysis/transfer.h"
#include "app/cli/runs_merge.h"
#include "app/cli/shard_flags.h"
#include "app/cli/stored_runs.h"
#include "base/fs.h"
#include "base/paths.h"
#include "experiment/order.h"
#include "experiment/results.h"

namespace moecap::app {
namespace {

namespace fs = std::filesystem;
using experiment::GridCell;
using experiment::Results;

constexpr const char* kConfigFile = "config.yaml";
constexpr const char* kCollectedFile = "collected";
constexpr const char* kSubmission = "submission-";

std::string Trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

Result<SweepFolder> SweepFolder::Open(const experiment::Grid& grid, const fs::path& results_dir) {
  RETURN_IF_ERROR(MakeWritableDir(results_dir));
  SweepFolder folder(grid, Absolute(results_dir));
  for (const GridCell& cell : grid.cells) {
    const fs::path file = folder.CellDir(cell) / kConfigFile;
    if (const auto before = ReadFile(file); before.ok() && *before != cell.config.text) {
      return BadInput(
          fmt::format("{} is of another configuration: the sweep was changed since it began. Give it another name, or "
                      "remove {}",
                      file.string(), folder.CellDir(cell).string()));
    }
    std::error_code error;
    fs::create_directories(folder.CellDir(cell), error);
    if (error) return BadInput(fmt::format("{}: {}", folder.CellDir(cell).string(), error.message()));
    RETURN_IF_ERROR(WriteFileAtomically(file, cell.config.text));
  }
  return folder;
}

fs::path SweepFolder::LastSubmission(const GridCell& cell) const {
  fs::path last;
  std::error_code error;
  for (auto child = fs::directory_iterator(CellDir(cell), error); !error && child != fs::directory_iterator();
       child.increment(error)) {
    if (child->path().filename().string().starts_with(kSubmission)) last = std::max(last, child->path());
  }
  return last;
}

std::vector<fs::path> SweepFolder::RunFoldersOf(const GridCell& cell) const {
  const fs::path last = LastSubmission(cell);
  if (last.empty()) return {};
  return analysis::RunFolders(grid_.shards > 1 ? last / kShardsDir / cell.name : last);
}

CellProgress SweepFolder::ProgressOf(const GridCell& cell) const {
  CellProgress progress;
  progress.planned = std::ssize(experiment::OrderOf(cell.config));
  if (const auto collected = ReadFile(CellDir(cell) / kCollectedFile); collected.ok()) {
    progress.run_id = Trimmed(*collected);
    progress.whole = true;
    progress.measured = progress.planned;
    return progress;
  }
  const std::vector<fs::path> folders = RunFoldersOf(cell);
  progress.whole = std::ssize(folders) >= grid_.shards;
  int64_t least = folders.empty() ? 0 : INT64_MAX;
  for (const fs::path& folder : folders) {
    const auto run = Results::Open(folder);
    progress.whole = progress.whole && run.ok() && run->manifest().complete;
    least = std::min<int64_t>(
        least, run.ok() ? std::ranges::count(run->manifest().measurements, true, &experiment::Measurement::complete) : 0);
  }
  progress.measured = least;
  return progress;
}

Result<std::string> SweepFolder::Collect(const GridCell& cell) const {
  const std::vector<fs::path> folders = RunFoldersOf(cell);
  std::string run_id;
  if (grid_.shards > 1) {
    ASSIGN_OR_RETURN(const Results merged, MergeAndIndex(folders, results_dir_));
    run_id = merged.manifest().run_id;
  } else {
    ASSIGN_OR_RETURN(const auto imported, analysis::ImportRuns({folders.back()}, results_dir_, MakeFigures));
    run_id = imported.front().run_id;
  }
  RETURN_IF_ERROR(WriteFileAtomically(CellDir(cell) / kCollectedFile, run_id + "\n"));
  return run_id;
}

std::vector<std::string> SweepFolder::Command(const GridCell& cell, const std::string& submission,
                                              const std::string& shard) const {
  std::vector<std::string> words = {(ExecutableDir() / "moecap").string(),
                                    "run",
                                    (CellDir(cell) / kConfigFile).string(),
                                    "--base-dir",
                                    cell.config.base_dir.string(),
                                    "--results-dir",
                                    (CellDir(cell) / (kSubmission + submission)).string()};
  if (!shard.empty()) words.insert(words.end(), {"--shard", shard, "--shard-group", cell.name});
  if (!shard.empty() && grid_.start_lead_s) words.insert(words.end(), {"--start-lead", fmt::format("{}", *grid_.start_lead_s)});
  return words;
}

}  // namespace moecap::app
