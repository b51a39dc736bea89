// What a sweep left on disk, RESULTS_DIR/sweeps/NAME/: for each cell config.yaml, a folder of results a submission, and the
// file `collected` with the id of its run once that lies in RESULTS_DIR, and in a second line why it holds no answer. The state
// of a sweep is what lies there, so any process can watch it or go on with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/grid.h"

namespace moecap::app {

struct CellProgress {
  int64_t measured = 0, planned = 0;  // measurements that all shards made
  bool whole = false;                 // everything was measured
  std::string run_id;                 // in the results folder; empty = not collected
  std::string unanswered;             // why no request of that run was answered; empty = some were
};

class SweepFolder {
 public:
  // Writes what each cell is. Error: kBadInput when the folder holds a cell of that name with another configuration.
  static Result<SweepFolder> Open(const experiment::Grid& grid, const std::filesystem::path& results_dir);

  const std::filesystem::path& dir() const { return dir_; }
  const experiment::Grid& grid() const { return grid_; }
  std::filesystem::path CellDir(const experiment::GridCell& cell) const { return dir_ / cell.name; }

  // Of the last submission that began it, and its last start.
  CellProgress ProgressOf(const experiment::GridCell& cell) const;
  // Brings the run of a cell that is whole into the results folder, with its reports.
  Status Collect(const experiment::GridCell& cell) const;

  // The words that measure a cell, or one of its shards ("0/4", "auto"; empty without), into the folder of a submission, which
  // is the last word: what a scheduler starts once more gets a folder of its own by ".r" and a number behind it.
  std::vector<std::string> Command(const experiment::GridCell& cell, const std::string& submission,
                                   const std::string& shard) const;

 private:
  SweepFolder(const experiment::Grid& grid, std::filesystem::path results_dir)
      : grid_(grid), results_dir_(std::move(results_dir)), dir_(results_dir_ / "sweeps" / grid.name) {}
  std::filesystem::path LastSubmission(const experiment::GridCell& cell) const;
  std::vector<std::filesystem::path> RunFoldersOf(const experiment::GridCell& cell) const;

  experiment::Grid grid_;
  std::filesystem::path results_dir_, dir_;
};

}  // namespace moecap::app
