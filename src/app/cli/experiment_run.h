// One experiment from its configuration, or from what an interrupted one left, to the report: what `moecap run` and
// `moecap load` share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "app/cli/cli.h"
#include "app/cli/shard_flags.h"
#include "base/result.h"
#include "cap/judgement.h"
#include "experiment/config.h"
#include "experiment/results.h"

namespace CLI {
class App;
}

namespace moecap::app {

struct ExperimentFlags {
  std::string resume;       // id or folder; empty = a new experiment
  std::string results_dir;  // empty = as the configuration says
  bool json = false;        // print the summary as JSON
  bool all = false;         // the whole report in the terminal
  bool include_invalid = false;
  ShardFlags shard;
};

// --resume, --results-dir, --json, --all, --include-invalid and those of shards.
void AddExperimentFlags(CLI::App& app, ExperimentFlags& flags);

// `config`: of a new experiment; with `resume` it may be given to be compared with the stored one. `verb`: for the command that
// finishes an interrupted experiment. Errors: kFailed when a system answered nothing; kInterrupted with that command.
Status RunExperiment(const std::optional<experiment::Config>& config, const ExperimentFlags& flags, const char* verb,
                     const Invocation& invocation);

// A new experiment of which nothing stays: whatever is written on the way lies below `scratch`, which the caller makes and
// removes; the machine's ceilings are taken from the cache, or measured and not kept. Errors: as RunExperiment.
Result<cap::JudgedExperiment> MeasureInScratch(experiment::Config config, const std::filesystem::path& scratch,
                                               const Invocation& invocation);

// Asks the servers for the experts behind the answers of a complete run that was merged from shards, and stores what they tell
// in it. Errors: kBadInput when a server cannot be reached or is not the one that was measured; kInterrupted.
Status AskForExperts(experiment::Results& results, const Invocation& invocation);

}  // namespace moecap::app
