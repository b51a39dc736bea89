#include "app/cli/runs_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "analysis/judge.h"
#include "app/cli/experiment_run.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "experiment/merge_shards.h"

namespace moecap::app {

namespace {

struct Merged {
  MergedRun run;
  Status asked;
};

// `asks`: null = it does not ask for experts.
Result<Merged> Merge(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& results_dir,
                     const Invocation* asks) {
  ASSIGN_OR_RETURN(experiment::Results results, experiment::MergeShards(dirs, results_dir, asks != nullptr));
  Status asked;
  if (asks != nullptr) asked = AskForExperts(results, *asks);
  ASSIGN_OR_RETURN(cap::JudgedExperiment judged, analysis::JudgeStored(results, {}));
  const bool complete = results.manifest().complete;
  RunIndex().Update(results, complete ? store::RunStatus::kComplete : store::RunStatus::kInterrupted, judged);
  RETURN_IF_ERROR(WriteReports(judged, results.dir()));
  return Merged{{std::move(results), std::move(judged)}, std::move(asked)};
}

}  // namespace

std::string ExpertsInWords(const experiment::Manifest& manifest) {
  const auto told = std::ranges::count_if(manifest.measurements, [](const experiment::Measurement& measurement) {
    return measurement.server_passes && measurement.server_passes->told;
  });
  if (told == 0) return "with estimated experts";
  if (told == std::ssize(manifest.measurements)) return "with the experts that were told";
  return fmt::format("with the experts that were told of {} of {} measurements and estimates for the others", told,
                     manifest.measurements.size());
}

Result<MergedRun> MergeAndIndex(const std::vector<std::filesystem::path>& dirs, const std::filesystem::path& results_dir) {
  ASSIGN_OR_RETURN(Merged merged, Merge(dirs, results_dir, nullptr));
  return std::move(merged.run);
}

Status MergeRuns(const std::vector<std::string>& dirs, const std::filesystem::path& results_dir, bool json,
                 const Invocation* asks) {
  ASSIGN_OR_RETURN(const Merged merged, Merge({dirs.begin(), dirs.end()}, results_dir, asks));
  const auto& [results, judged] = merged.run;
  const experiment::Manifest& manifest = results.manifest();
  PrintReport(judged, json, false);
  NameReports(results.dir());
  if (!merged.asked.ok()) {
    return Error{merged.asked.error().kind, fmt::format("the run is stored, {}: asking for them failed: {}",
                                                        ExpertsInWords(manifest), merged.asked.error().message)};
  }
  if (manifest.complete) return CheckAnswered(judged.summary, "; the run is stored in " + results.dir().string());
  std::string missing;
  for (const std::string& line : experiment::MissingShards(manifest)) missing += "\n  " + line;
  return Failed(fmt::format("a part of the load is missing, so that the run is not complete:{}", missing));
}

}  // namespace moecap::app
