// One experiment, measured: every system at every level, repeated, or the search for the highest level that keeps the
// objectives; from configuration to stored facts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "accuracy/contract.h"
#include "base/clock.h"
#include "base/result.h"
#include "experiment/driver.h"
#include "experiment/energy_meter.h"
#include "experiment/order.h"
#include "experiment/plan.h"
#include "experiment/prompt_ids.h"
#include "experiment/results.h"
#include "experiment/shard_start.h"

namespace moecap::experiment {

struct ProgressUpdate {
  std::string activity;                // "F16, 4 clients, repetition 2 of 5"; "..., warm-up"
  int64_t done = 0, planned = 0;       // requests of this measurement
  int measured = 0, measurements = 0;  // measurements that had ended, this process; planned in all. 0 planned: a search
  int64_t waiting_for = 0;             // requests in flight when nothing has happened for some seconds, ...
  double waiting_s = 0;                // ... and for how long
};

struct Hooks {
  std::function<bool()> stop_requested;                    // may be empty
  std::function<void(const ProgressUpdate&)> on_progress;  // may be empty
  std::function<void(const std::string& line)> on_note;    // something a user should know now; may be empty
  std::function<void(const Results&)> on_stored;           // after each measurement, before the next; may be empty
  accuracy::ProgramRunner run_code;                        // of scoring that runs answers (ProblemSet::run_code); may be empty
  EnergyMeter* energy = nullptr;                           // of the systems in this process; null: energy is not measured
  // Of a shard: waits until all shards are ready for measurement `number`, counted from 0 in the order of all. Empty: it begins
  // at once.
  std::function<Result<SharedStart>(int number)> shared_start;
  // Of one that was started again: whether the others began that measurement without it. May be empty.
  std::function<bool(int number)> has_begun;
  // Of a shard that ended a measurement which took `measured_s`, or missed it (0): waits until all shards have. Returns those
  // for which it did not wait any longer, in words. May be empty.
  std::function<std::string(int number, bool is_last, double measured_s)> leave_together;
};

// An experiment whose inputs were all checked: files exist, models load, prompts fit. Nothing was written.
class Experiment {
 public:
  // Errors: kBadInput for anything that would stop the experiment later. `clock` must outlive it.
  static Result<Experiment> Prepare(const Config& config, const DriverFactory& make_driver, const Clock& clock);
  Experiment(Experiment&&) = default;

  // Whether this machine's counters see the work of any system.
  bool RunsHere() const;
  // Fills in systems (without prices) with their activation sheets, workload, problems and notes. Error: kBadInput for a sheet
  // that is not of the system's model.
  Status Describe(Manifest& manifest);

  // Measures what `results` does not hold yet. Error kInterrupted when the user stopped it: what was measured is stored.
  Status Execute(Results& results, const Hooks& hooks);
  // Asks the servers for the experts behind all answers of `results`, a complete run of this configuration that was merged from
  // shards: none of them asked. Of a server that tells none, `results` says why. Error kInterrupted.
  Status AskForExperts(Results& results, const Hooks& hooks);

 private:
  class Session;
  Experiment(const Config& config, const Clock& clock) : config_(config), clock_(&clock) {}
  Status CheckPrompts();
  PlanInput InputFor(const record::Level& level, int number, std::string salt, const Shard& shard = {}) const {
    return {config_, problems_, level, number, std::move(salt), ids_, shard};
  }

  Config config_;
  const Clock* clock_;
  PreparedProblems problems_;  // empty without right answers
  std::vector<std::unique_ptr<SystemDriver>> drivers_;
  PromptIds ids_;
};

}  // namespace moecap::experiment
