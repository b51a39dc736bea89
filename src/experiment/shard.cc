#include "experiment/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/plain_name.h"
#include "experiment/config.h"

namespace moecap::experiment {
namespace {

std::optional<int> WholeNumber(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0 ? std::optional(value) : std::nullopt;
}

std::optional<int> NumberOf(const Environment& environment, const char* name) {
  const auto text = environment(name);
  return text ? WholeNumber(*text) : std::nullopt;
}

// A job that was put back into the queue begins a new load.
std::string SlurmGroup(const Environment& environment) {
  const auto job = environment("SLURM_JOB_ID"), step = environment("SLURM_STEP_ID");
  const auto restarts = environment("SLURM_RESTART_COUNT");
  return job && step ? fmt::format("slurm-{}.{}{}", *job, *step, restarts ? ".r" + *restarts : "") : "";
}

constexpr const char* kSchedulers =
    "OMPI_COMM_WORLD_RANK (mpirun), JOB_COMPLETION_INDEX (a Kubernetes Indexed Job), SLURM_PROCID (srun)";

Result<ShardOfGroup> FromScheduler(std::string_view text, const Environment& environment) {
  auto found = ShardOfScheduler(environment);
  if (!found) {
    return BadInput(fmt::format("--shard {}: no scheduler tells which shard this process is; looked for {}. Give I/N, e.g. 0/8",
                                text, kSchedulers));
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const auto count = WholeNumber(text.substr(slash + 1));
    if (!count) return BadInput(fmt::format("--shard {}: write auto/N", text));
    if (found->shard.count != 0 && found->shard.count != *count) {
      return BadInput(
          fmt::format("--shard {}: the scheduler started {} tasks; start {}, or write auto", text, found->shard.count, *count));
    }
    found->shard.count = *count;
  }
  if (found->shard.count == 0)
    return BadInput("--shard auto: a Kubernetes Job does not tell how many pods there are; write auto/N with its completions");
  return *std::move(found);
}

}  // namespace

int64_t ShareOf(int64_t total, const Shard& shard) { return total / shard.count + (shard.index < total % shard.count ? 1 : 0); }

int64_t BeginOfShare(int64_t total, const Shard& shard) {
  return total / shard.count * shard.index + std::min<int64_t>(shard.index, total % shard.count);
}

std::string InWords(const Shard& shard) { return fmt::format("shard {}/{}", shard.index, shard.count); }

std::string ShardFolderName(const Shard& shard) { return fmt::format("{}-of-{}", shard.index, shard.count); }

std::optional<ShardOfGroup> ShardOfScheduler(const Environment& environment) {
  if (const auto rank = NumberOf(environment, "OMPI_COMM_WORLD_RANK")) {
    const auto size = NumberOf(environment, "OMPI_COMM_WORLD_SIZE");
    const auto job = environment("PMIX_NAMESPACE");
    if (size) return ShardOfGroup{{*rank, *size}, job ? PlainNameOf("mpi-" + *job) : ""};
  }
  if (const auto index = NumberOf(environment, "JOB_COMPLETION_INDEX")) return ShardOfGroup{{*index, 0}, ""};
  const auto rank = NumberOf(environment, "SLURM_PROCID"), size = NumberOf(environment, "SLURM_STEP_NUM_TASKS");
  if (!rank || !size) return std::nullopt;
  return ShardOfGroup{{*rank, *size}, PlainNameOf(SlurmGroup(environment))};
}

Result<ShardOfGroup> ParseShard(std::string_view text, const std::string& group, const std::string& start,
                                const Environment& environment) {
  ShardOfGroup shard;
  if (text == "auto" || text.starts_with("auto/")) {
    ASSIGN_OR_RETURN(shard, FromScheduler(text, environment));
  } else {
    const size_t slash = text.find('/');
    const auto index = WholeNumber(text.substr(0, slash));
    const auto count = slash == std::string_view::npos ? std::nullopt : WholeNumber(text.substr(slash + 1));
    if (!index || !count)
      return BadInput(fmt::format("--shard {}: write I/N, from 0/N to (N-1)/N, or auto for what a scheduler tells", text));
    shard.shard = {*index, *count};
  }
  if (shard.shard.index >= shard.shard.count) {
    return BadInput(fmt::format("--shard {}: {} shards are numbered 0 to {}; there is no {}", text, shard.shard.count,
                                shard.shard.count - 1, shard.shard.index));
  }
  if (!group.empty() && !IsPlainName(group)) return BadInput(fmt::format("--shard-group {}: {}", group, kPlainNameRule));
  if (!group.empty()) shard.group = group;
  if (shard.group.empty() && !start.empty()) shard.group = PlainNameOf("at-" + start);
  if (shard.group.empty())
    return BadInput("nothing says which shards belong together: give all of them the same --shard-group NAME, or --start-at");
  return shard;
}

Status CheckShards(const Config& config, const Shard& shard) {
  if (config.search)
    return BadInput(
        "a search decides by what it measured what comes next; shards measure given levels: give several at once "
        "(--rate 10,20,40), and the merged report says which meet the objectives");
  for (const SystemConfig& system : config.systems) {
    if (!system.server) return BadInput(fmt::format("{}: runs in this process; shards make the load of a server", system.name));
    if (system.launch) {
      return BadInput(fmt::format(
          "{}: one shard cannot start a server for all; start it first and give its URL instead of `launch`", system.name));
    }
  }
  if (record::IsOpenLoop(config.load.kind)) return {};
  for (const double level : config.load.levels) {
    if (level >= static_cast<double>(shard.count) * config.client_threads) continue;
    return BadInput(fmt::format("{} {} cannot be divided among {} shards of {} thread{}; use fewer shards", level,
                                Name(config.load.kind), shard.count, config.client_threads,
                                config.client_threads == 1 ? "" : "s"));
  }
  return {};
}

}  // namespace moecap::experiment
