#include "app/cli/runs_merge.h"

#include <fmt/format.h>

#include <utility>

#include "analysis/judge.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "experiment/merge_shards.h"

namespace moecap::app {

namespace {

struct Merged {
  experiment::Results results;
  cap::JudgedExperiment judged;
};

Result<Merged> Merge(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& results_dir) {
  ASSIGN_OR_RETURN(experiment::Results results, experiment::MergeShards(dirs, results_dir));
  ASSIGN_OR_RETURN(cap::JudgedExperiment judged, analysis::JudgeStored(results, {}));
  const bool complete = results.manifest().complete;
  RunIndex().Update(results, complete ? store::RunStatus::kComplete : store::RunStatus::kInterrupted, judged);
  RETURN_IF_ERROR(WriteReports(judged, results.dir()));
  return Merged{std::move(results), std::move(judged)};
}

}  // namespace

Result<experiment::Results> MergeAndIndex(const std::vector<std::filesystem::path>& dirs,
                                          const std::filesystem::path& results_dir) {
  ASSIGN_OR_RETURN(Merged merged, Merge(dirs, results_dir));
  return std::move(merged.results);
}

Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json) {
  ASSIGN_OR_RETURN(const Merged merged, Merge({dirs.begin(), dirs.end()}, results_dir));
  const experiment::Manifest& manifest = merged.results.manifest();
  PrintReport(merged.judged, json, false);
  NameReports(merged.results.dir());
  if (manifest.complete) return {};
  std::string missing;
  for (const std::string& note : manifest.notes) {
    if (note.starts_with("shard ")) missing += "\n  " + note;
  }
  return Failed(fmt::format("a part of the load is missing, so that the run is not complete:{}", missing));
}

}  // namespace moecap::app
