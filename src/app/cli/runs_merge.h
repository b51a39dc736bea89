// moecap runs merge: the shards of a load as one run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/cli/cli.h"
#include "base/result.h"
#include "cap/judgement.h"
#include "experiment/results.h"

namespace moecap::app {

struct MergedRun {
  experiment::Results results;
  cap::JudgedExperiment judged;
};

// Joins shards (experiment::MergeShards) into a run below `results_dir`, writes its reports and indexes it.
Result<MergedRun> MergeAndIndex(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& results_dir);

// The same of `moecap runs merge`, and prints it. `asks`: of a program that asks the servers for the experts behind the answers
// of a complete load; may be null. Errors: as MergeShards; and, when everything is stored and printed, kFailed for a load of
// which a part is missing or of which nothing was answered, and as AskForExperts when that failed, perhaps after some
// measurements had theirs.
Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json,
                 const Invocation* asks);

// Whose experts a merged run holds when asking for them failed, perhaps half-way: "with estimated experts".
std::string ExpertsInWords(const experiment::Manifest& manifest);

}  // namespace moecap::app
