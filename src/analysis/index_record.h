// The folder of an experiment, of any kind, as the index of stored runs keeps it, and as an export carries it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "cap/summary.h"
#include "experiment/results.h"
#include "store/run_store.h"

namespace moecap::analysis {

struct DerivedFigures {
  cap::ExperimentSummary summary;
  std::string summary_json;  // docs/formats/summary.md
};

// The file of the folder that says what is in it: manifest.json, or load.json of a load test of version 0.1.
std::string ManifestFileOf(const experiment::Results& results);

// Null `figures`: the run goes on, or cannot be summarised; then no cell is stored. Files are hashed only when `status` is
// kComplete, as they change until then. Errors: kBadInput when a file of the run cannot be read or is shorter than its manifest
// says.
Result<store::StoredRun> ToStoredRun(const experiment::Results& results, store::RunStatus status,
                                     const std::optional<DerivedFigures>& figures);

// kComplete, kRunning while a process is at work in the folder (base/folder_lock.h), else kInterrupted.
store::RunStatus StatusOf(const experiment::Results& results);

}  // namespace moecap::analysis
