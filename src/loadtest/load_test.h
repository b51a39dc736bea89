// One load test: every level, repeated, or the search for the highest level that meets the objectives; from configuration to
// stored events.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "load/slo_search.h"
#include "loadtest/results.h"
#include "loadtest/target.h"

namespace moecap::loadtest {

struct LoadTestHooks {
  std::function<bool()> stop_requested;  // may be empty
  // Requests that ended and that are planned, of the measurement that goes on; may be empty.
  std::function<void(int64_t done, int64_t planned, const std::string& activity)> on_progress;
  std::function<void(const std::string& line)> on_note;  // something a user should know now; may be empty
};

// Fills in what the manifest tells of workload and notes, from the first measurement's plan. Sends nothing but, for texts whose
// length matters, questions to the server's tokenizer. Errors: whatever would stop the first measurement.
Status Describe(LoadManifest& manifest, Target& target);

// Measures what `results` does not hold yet. Error kInterrupted when the user stopped it: measurements that had ended are
// stored.
Status Execute(LoadResults& results, Target& target, const LoadTestHooks& hooks, const Clock& clock);

// The search over stored measurements; `measure` is called for a probe that is not stored, and may end it with an error.
Result<load::SloSearchResult> Search(const LoadResults& results,
                                     const std::function<Status(double level, int repeat)>& measure);

// Of the whole measurement: what was offered, in the order of intended sending, and what met the objectives.
Result<load::SloOutcomes> OutcomesOf(const LoadResults& results, const Measurement& measurement);

// "8 clients", "2.5 requests/s".
std::string LevelLabel(LoadKind kind, double level);

}  // namespace moecap::loadtest
