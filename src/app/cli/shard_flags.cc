#include "app/cli/shard_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <utility>

#include "base/wall_clock.h"

namespace moecap::app {
namespace {

std::optional<std::string> EnvironmentVariable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

// A task that makes the whole load may be what was meant; that eight of them do, hardly.
void WarnOfTasks() {
  const auto task = experiment::ShardOfScheduler(EnvironmentVariable);
  if (!task || task->shard.count < 2) return;
  fmt::print(
      stderr,
      "note: this is task {} of {} that a scheduler started, and each of them makes the whole load; --shard auto divides it "
      "among them\n",
      task->shard.index, task->shard.count);
}

}  // namespace

void AddShardFlags(CLI::App& app, ShardFlags& flags) {
  app.add_option(
      "--shard", flags.shard,
      "make this part of the load only: I/N from 0/N to (N-1)/N, or auto as srun, mpirun or a Kubernetes Indexed Job "
      "(auto/N) tell; joined with: moecap runs merge (docs/howto/many_clients.md)");
  app.add_option("--shard-group", flags.group, "names the load among others (default: the scheduler's job, or --start-at)");
  app.add_option(
      "--start-at", flags.start_at,
      "UTC at which all shards begin, e.g. 2026-01-31T12:00:00Z (default: they meet in the results folder, which all "
      "must see)");
  app.add_option(
      "--start-every", flags.start_every_s,
      "with --start-at: seconds from the start of one measurement to the next (default: they meet for each further one)");
  app.add_option("--start-wait", flags.start_wait_s, "seconds to wait for the other shards at most (default: 600)");
  app.add_option(
      "--start-lead", flags.start_lead_s,
      "seconds from the meeting to the start, more than the folder needs to show a new file everywhere (default: 2)");
}

const std::vector<const char*>& ShardFlagNames() {
  static const std::vector<const char*> kNames = {"--shard",       "--shard-group", "--start-at",
                                                  "--start-every", "--start-wait",  "--start-lead"};
  return kNames;
}

Result<std::optional<ShardRun>> ShardOf(const ShardFlags& flags, const std::filesystem::path& results_dir) {
  if (flags.shard.empty()) {
    const bool any =
        !flags.group.empty() || !flags.start_at.empty() || flags.start_every_s || flags.start_wait_s || flags.start_lead_s;
    if (any) return BadInput("--shard-group and --start-... go with --shard I/N");
    WarnOfTasks();
    return std::optional<ShardRun>();
  }
  ShardRun run;
  ASSIGN_OR_RETURN(run.shard, experiment::ParseShard(flags.shard, flags.group, flags.start_at, EnvironmentVariable));
  run.start.shard = run.shard.shard;
  run.start.folder = results_dir / kShardsDir / run.shard.group;
  if (!flags.start_at.empty()) {
    ASSIGN_OR_RETURN(run.start.start_at_ns, ParseIso8601(flags.start_at));
  }
  if (flags.start_every_s && !run.start.start_at_ns) return BadInput("--start-every goes with --start-at");
  run.start.start_every_s = flags.start_every_s;
  run.start.wait_s = flags.start_wait_s.value_or(run.start.wait_s);
  run.start.lead_s = flags.start_lead_s.value_or(run.start.lead_s);
  if (!(run.start.start_every_s.value_or(1) > 0) || !(run.start.wait_s > 0) || !(run.start.lead_s > 0))
    return BadInput("--start-every, --start-wait and --start-lead are seconds above 0");
  return std::optional(std::move(run));
}

}  // namespace moecap::app
