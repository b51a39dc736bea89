// One shard of a load made by several client processes: the flags that `run` and `load` share.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/shard_start.h"

namespace CLI {
class App;
}

namespace moecap::app {

inline constexpr const char* kShardsDir = "shards";  // below the results folder: one folder a load, in it one run a shard

struct ShardFlags {
  std::string shard;  // "I/N", "auto", "auto/N"; empty = the whole load
  std::string group, start_at;
  std::optional<double> start_every_s, start_wait_s, start_lead_s;
};

// --shard, --shard-group, --start-at, --start-every, --start-wait, --start-lead.
void AddShardFlags(CLI::App& app, ShardFlags& flags);
const std::vector<const char*>& ShardFlagNames();

struct ShardRun {
  experiment::ShardOfGroup shard;
  experiment::ShardStartOptions start;  // its folder is the load's
};

// Null: the flags ask for the whole load; where a scheduler runs this process as one of several tasks, a line on stderr says
// so. Error: kBadInput for flags that make no sense.
Result<std::optional<ShardRun>> ShardOf(const ShardFlags& flags, const std::filesystem::path& results_dir);

}  // namespace moecap::app
