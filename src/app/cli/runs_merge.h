// moecap runs merge: the shards of a load as one run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/results.h"

namespace moecap::app {

// Joins shards (experiment::MergeShards) into a run below `results_dir`, writes its reports and indexes it.
Result<experiment::Results> MergeAndIndex(const std::vector<std::filesystem::path>& dirs,
                                          const std::filesystem::path& results_dir);

// The same of `moecap runs merge`, and prints it. Error: kFailed, when everything is stored and printed, for a load of which a
// part is missing.
Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json);

}  // namespace moecap::app
