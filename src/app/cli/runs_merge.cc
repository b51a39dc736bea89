#include "app/cli/runs_merge.h"

#include <fmt/format.h>

#include <utility>

#include "analysis/judge.h"
#include "app/cli/experiment_run.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "experiment/merge_shards.h"

namespace moecap::app {

namespace {

struct Merged {
  experiment::Results results;
  cap::JudgedExperiment judged;
  Status asked;
};

// `asks`: null = it does not ask for experts.
Result<Merged> Merge(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& results_dir,
                     const Invocation* asks) {
  ASSIGN_OR_RETURN(experiment::Results results, experiment::MergeShards(dirs, results_dir));
  Status asked;
  if (asks != nullptr && results.manifest().complete) asked = AskForExperts(results, *asks);
  ASSIGN_OR_RETURN(cap::JudgedExperiment judged, analysis::JudgeStored(results, {}));
  const bool complete = results.manifest().complete;
  RunIndex().Update(results, complete ? store::RunStatus::kComplete : store::RunStatus::kInterrupted, judged);
  RETURN_IF_ERROR(WriteReports(judged, results.dir()));
  return Merged{std::move(results), std::move(judged), std::move(asked)};
}

}  // namespace

Result<experiment::Results> MergeAndIndex(const std::vector<std::filesystem::path>& dirs,
                                          const std::filesystem::path& results_dir) {
  ASSIGN_OR_RETURN(Merged merged, Merge(dirs, results_dir, nullptr));
  return std::move(merged.results);
}

Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json,
                 const Invocation* asks) {
  ASSIGN_OR_RETURN(const Merged merged, Merge({dirs.begin(), dirs.end()}, results_dir, asks));
  const experiment::Manifest& manifest = merged.results.manifest();
  PrintReport(merged.judged, json, false);
  NameReports(merged.results.dir());
  if (!merged.asked.ok()) {
    return Error{merged.asked.error().kind,
                 fmt::format("the run is stored, with estimated experts: they could not be asked for: {}",
                             merged.asked.error().message)};
  }
  if (manifest.complete) return {};
  std::string missing;
  for (const std::string& note : manifest.notes) {
    if (note.starts_with("shard ")) missing += "\n  " + note;
  }
  return Failed(fmt::format("a part of the load is missing, so that the run is not complete:{}", missing));
}

}  // namespace moecap::app
