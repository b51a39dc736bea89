#include "app/sweep_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
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
  std::string last;
  const auto order = [](const std::string& name) { return std::tuple(name.substr(0, name.find(".r")), name.size(), name); };
  std::error_code error;
  for (auto child = fs::directory_iterator(CellDir(cell), error); !error && child != fs::directory_iterator();
       child.increment(error)) {
    const std::string name = child->path().filename().string();
    if (name.starts_with(kSubmission) && (last.empty() || order(last) < order(name))) last = name;
  }
  return last.empty() ? fs::path() : CellDir(cell) / last;
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
    progress.run_id = collected->substr(0, collected->find('\n'));
    progress.unanswered = Trimmed(collected->substr(std::min(collected->size(), progress.run_id.size() + 1)));
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

Status SweepFolder::Collect(const GridCell& cell) const {
  const std::vector<fs::path> folders = RunFoldersOf(cell);
  std::string collected;
  Status answered;
  if (grid_.shards > 1) {
    ASSIGN_OR_RETURN(const MergedRun merged, MergeAndIndex(folders, results_dir_));
    collected = merged.results.manifest().run_id;
    answered = CheckAnswered(merged.judged.summary, "");
  } else {
    ASSIGN_OR_RETURN(const auto imported, analysis::ImportRuns({folders.back()}, results_dir_, MakeFigures));
    collected = imported.front().run_id;
    ASSIGN_OR_RETURN(const Results results, Results::Open(results_dir_ / collected));
    ASSIGN_OR_RETURN(const cap::ExperimentSummary summary, SummaryOf(results));
    answered = CheckAnswered(summary, "");
  }
  if (!answered.ok()) collected += "\n" + answered.error().message;
  return WriteFileAtomically(CellDir(cell) / kCollectedFile, collected + "\n");
}

std::vector<std::string> SweepFolder::Command(const GridCell& cell, const std::string& submission,
                                              const std::string& shard) const {
  std::vector<std::string> words = {(ExecutableDir() / "moecap").string(), "run", (CellDir(cell) / kConfigFile).string(),
                                    "--base-dir", cell.config.base_dir.string()};
  if (!shard.empty()) words.insert(words.end(), {"--shard", shard, "--shard-group", cell.name});
  if (!shard.empty() && grid_.start_lead_s) words.insert(words.end(), {"--start-lead", fmt::format("{}", *grid_.start_lead_s)});
  words.insert(words.end(), {"--results-dir", (CellDir(cell) / (kSubmission + submission)).string()});
  return words;
}

}  // namespace moecap::app
