// How verbs name stored runs, and keep the index of them (store/run_store.h) in step.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "analysis/transfer.h"
#include "base/result.h"
#include "cap/judgement.h"
#include "store/run_store.h"

namespace moecap::app {

inline constexpr const char* kResultsDir = "results";

// The folder of the stored run that `name` means: a run's folder; or below `results_dir` an id, the beginning of just one id,
// or "latest", the one that started last. Works without the index, and with one that cannot be read. Error: kBadInput naming
// the runs that were meant.
Result<std::filesystem::path> StoredDir(const std::string& name, const std::filesystem::path& results_dir = kResultsDir);

// The same for verbs that work on the index: the id of an indexed run.
Result<std::string> RunIdOf(const store::RunStore& store, const std::string& name);

// The figures of a run: from its facts, or, where a compact export left them out, from its summary.json. Error: kBadInput
// naming the file.
Result<cap::ExperimentSummary> SummaryOf(const experiment::Results& results);

// The same, judged.
Result<analysis::DerivedFigures> MakeFigures(const experiment::Results& results);

// A system that answered nothing has no figures, so the run has failed for it, and is stored all the same. Error: kFailed
// naming the system and what its first request failed with. `where`: how the message ends.
Status CheckAnswered(const cap::ExperimentSummary& summary, const std::string& where);

// Keeps the index in step with a run that goes on. The facts are in the run's folder, so an index that cannot be written costs
// one warning on stderr and nothing else.
class RunIndex {
 public:
  // Null `judged`: not computed yet.
  void Update(const experiment::Results& results, store::RunStatus status,
              const std::optional<cap::JudgedExperiment>& judged = std::nullopt);

 private:
  bool warned_ = false;
};

}  // namespace moecap::app
