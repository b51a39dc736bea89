// Which stored runs may be compared, and their systems side by side (cap/comparison.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cap/comparison.h"
#include "cap/summary.h"
#include "record/request_record.h"
#include "run/results.h"

namespace moecap::run {

struct StoredRun {
  std::string given;  // how the user named it
  Manifest manifest;
  std::vector<record::RequestRecord> requests;
  cap::RunSummary summary;  // Summarize of the above
};

// Reads the facts and summarises them. A service level that is set replaces the one of the run's configuration.
Result<StoredRun> ReadStoredRun(const Results& results, const std::string& given, const cap::ServiceLevel& service_level);

struct CompareRunsOptions {
  cap::CapChoice choice;
  std::string normalisation = "paper";  // or "robust"
  std::string baseline;                 // "RUN", "RUN:SYSTEM" or "SYSTEM"; empty: the first system of the first run
  std::vector<std::string> by;          // respects in which the runs are meant to differ: MismatchNames()
  bool force = false;                   // compare in spite of other differences, and say so in the result's warnings
};

// "hardware", "model", "dataset", "contract".
std::vector<std::string> MismatchNames();

// Errors: kBadInput for no run, a run given twice, an unknown baseline, a concurrency that no run measured, goodput without a
// service level, and for runs that differ where they must not, naming what differs and the flag that helps.
Result<cap::Comparison> CompareRuns(std::span<const StoredRun> runs, const CompareRunsOptions& options);

}  // namespace moecap::run
