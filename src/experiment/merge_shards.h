// The shards of a load as one run: their events, plans and answers side by side, from which every figure is computed anew, as
// if one client had written them. Nothing is averaged.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/results.h"

namespace moecap::experiment {

// The folders of the shards' own runs (RESULTS_DIR/shards/GROUP/0-of-8, ...), or folders that hold them. Makes
// RESULTS_DIR/RUN_ID. A shard that is missing, or whose part of a measurement is not whole, leaves that measurement and the run
// incomplete, and the manifest's notes name it. `to_ask`: the servers are to be asked for the experts behind the answers next
// (Experiment::AskForExperts). Errors: kBadInput for a folder that holds no shard, for one shard twice, for shards of different
// loads: configuration, version, data, servers or plan; and, before anything is stored, where there is nothing to be asked.
Result<Results> MergeShards(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& results_dir,
                            bool to_ask = false);

// The notes of a merged run that name a shard of which a part is missing, and say why.
std::vector<std::string> MissingShards(const Manifest& merged);

}  // namespace moecap::experiment
