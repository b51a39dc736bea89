#include "app/cli/runs_merge.h"

#include <fmt/format.h>

#include "analysis/judge.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "experiment/merge_shards.h"

namespace moecap::app {

Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json) {
  ASSIGN_OR_RETURN(const experiment::Results results, experiment::MergeShards({dirs.begin(), dirs.end()}, results_dir));
  ASSIGN_OR_RETURN(const cap::JudgedExperiment judged, analysis::JudgeStored(results, {}));
  const bool complete = results.manifest().complete;
  RunIndex().Update(results, complete ? store::RunStatus::kComplete : store::RunStatus::kInterrupted, judged);
  RETURN_IF_ERROR(WriteReports(judged, results.dir()));
  PrintReport(judged, json, false);
  NameReports(results.dir());
  if (complete) return {};
  std::string missing;
  for (const std::string& note : results.manifest().notes) {
    if (note.starts_with("shard ")) missing += "\n  " + note;
  }
  return Failed(fmt::format("a part of the load is missing, so that the run is not complete:{}", missing));
}

}  // namespace moecap::app
