// Many experiments from one file: a configuration and axes that vary it, every combination a cell (docs/config.md, "Sweeps").
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/config.h"

namespace moecap::experiment {

struct GridCell {
  std::string name;  // "vllm-fp8", of the values of the axes; base/plain_name.h
  Config config;     // its text is the whole one, with the axes' keys laid over the common ones
};

struct Grid {
  std::string name;
  int shards = 1;                      // client processes of each cell
  std::optional<double> start_lead_s;  // of each cell's shards, as --start-lead
  double settle_s = 60;  // on Slurm: how long after a cell's end its files may still be on their way here (NFS: acdirmax)
  int at_once = 1;       // cells that a scheduler may run at the same time
  std::vector<std::string> scheduler;  // options of its batch command, as they are
  std::vector<GridCell> cells;         // the last axis varies fastest
};

// Every cell is read as a configuration, so what is wrong with one is said before anything runs. Errors: kBadInput with file,
// line and key.
Result<Grid> ReadGrid(const std::filesystem::path& file);

}  // namespace moecap::experiment
