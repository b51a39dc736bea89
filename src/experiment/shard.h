// One of several client processes that make one load together. The plan of a load is a pure function of its configuration; a
// shard computes the whole plan and sends its part of it, so that shards need not talk while they measure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace moecap::experiment {

struct Config;

struct Shard {
  int index = 0;  // of [0, count)
  int count = 1;

  friend bool operator==(const Shard&, const Shard&) = default;
};

// Of `total` things the number that falls to a shard: shares differ by one at most. And the number that falls to those before
// it.
int64_t ShareOf(int64_t total, const Shard& shard);
int64_t BeginOfShare(int64_t total, const Shard& shard);

// "shard 3/8", as it was given.
std::string InWords(const Shard& shard);

// Of the folder of its run below that of its group: "0-of-8".
std::string ShardFolderName(const Shard& shard);

// A shard, and the load it belongs to.
struct ShardOfGroup {
  Shard shard;
  std::string group;  // names the load among those of a results folder; a plain file name
};

// What a scheduler says of this process: OMPI_COMM_WORLD_RANK and _SIZE (mpirun), JOB_COMPLETION_INDEX (a Kubernetes Indexed
// Job, which does not tell how many there are: count 0), SLURM_PROCID and SLURM_STEP_NUM_TASKS of a step (srun; not the batch
// script itself). The group is empty where the scheduler names no job. Null: none of them.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<ShardOfGroup> ShardOfScheduler(const Environment& environment);

// Of --shard and --shard-group: "I/N", "auto", or "auto/N" where the scheduler does not tell N. `start` names the group where
// nothing else does: --start-at as it was given. Error: kBadInput with the remedy.
Result<ShardOfGroup> ParseShard(std::string_view text, const std::string& group, const std::string& start,
                                const Environment& environment);

// Whether the load can be divided so. Error: kBadInput for systems that this program runs or starts itself, for a search, and
// for fewer clients than there are threads of all shards.
Status CheckShards(const Config& config, const Shard& shard);

}  // namespace moecap::experiment
