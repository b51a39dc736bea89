// moecap runs merge: the shards of a load as one run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::app {

// Joins the shards in `dirs` into a run below `results_dir`, writes its reports, indexes it and prints it. Error: as of
// experiment::MergeShards; kFailed, when everything is stored and printed, for a load of which a part is missing.
Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json);

}  // namespace moecap::app
