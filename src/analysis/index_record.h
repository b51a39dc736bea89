// A run folder as the index of stored runs keeps it, and as an export carries it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "cap/summary.h"
#include "run/results.h"
#include "store/run_store.h"

namespace moecap::run {

struct DerivedFigures {
  cap::RunSummary summary;
  std::string summary_json;  // docs/formats/summary.md
};

// Null `figures`: the run goes on, or cannot be summarised; then no cohort is stored. Files are hashed only when `status` is
// kComplete, as they change until then. Errors: kBadInput when a file of the run cannot be read or is shorter than its manifest
// says.
Result<store::StoredRun> ToStoredRun(const Results& results, store::RunStatus status,
                                     const std::optional<DerivedFigures>& figures);

// kComplete, kRunning while a process is at work in the folder (base/folder_lock.h), else kInterrupted.
store::RunStatus StatusOf(const Results& results);

}  // namespace moecap::run
