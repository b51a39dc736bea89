// One experiment: every system at every concurrency, repeated, from configuration to stored facts.
//
// Order: repetition by repetition, in each every system, in each every concurrency, so that a slow drift of the machine touches
// all systems alike. Before each unit a warm-up that is not recorded; after it the routing, from an instrumented second
// execution of the same batches. Repetitions that generate the same tokens run the same batches and share one such execution.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "run/energy_meter.h"
#include "run/results.h"
#include "run/system_driver.h"
#include "workload/dataset.h"

namespace moecap::run {

struct ProgressUpdate {
  int64_t done = 0;  // requests finished, this run
  int64_t total = 0;
  std::string activity;  // "F16, 4 clients, repetition 2 of 3"
};

struct ExperimentHooks {
  std::function<bool()> stop_requested;                    // may be empty
  std::function<void(const ProgressUpdate&)> on_progress;  // may be empty
  EnergyMeter* energy = nullptr;                           // of the systems in this process; null: energy is not measured
  hardware::UsedDevices used_devices;                      // whose energy counts; set from each system's description
  std::function<void(const Results&)> on_unit_stored;      // after each unit, before the next; may be empty
};

// An experiment whose inputs were all checked: files exist, models load, prompts fit. Nothing was written.
class Experiment {
 public:
  // Errors: kBadInput for anything that would stop the experiment later. `clock` must outlive it.
  static Result<Experiment> Prepare(const RunConfig& config, const DriverFactory& make_driver, const Clock& clock);

  std::vector<SystemDescription> Systems() const;
  int64_t problems() const { return static_cast<int64_t>(problems_.size()); }

  // Measures what `results` does not hold yet. Error kInterrupted when the user stopped it: what was measured is stored.
  Status Execute(Results& results, const ExperimentHooks& hooks);

 private:
  Experiment(const RunConfig& config, const Clock& clock) : config_(config), clock_(&clock) {}

  Status CheckPrompts();
  Status ExecuteUnit(SystemDriver& driver, const record::CellId& cell, Results& results, const ExperimentHooks& hooks);
  // The timed part of a unit.
  struct Measured {
    load::LoadResult records;
    std::optional<double> energy_j;
  };
  Result<Measured> Measure(SystemInstance& instance, const record::CellId& cell, const ExperimentHooks& hooks);
  void Score(std::vector<record::RequestRecord>& requests) const;
  void Report(const ExperimentHooks& hooks, const record::CellId& cell, int64_t done_in_unit) const;

  // The first repetition of a cell, for the later ones to share its routing.
  struct Reference {
    record::CellId cell;
    std::vector<std::vector<int32_t>> token_ids;
    std::vector<record::PassRecord> passes;
  };
  static bool ShareRouting(const Reference& reference, load::LoadResult& unit);
  Reference* FindReference(const record::CellId& cell);
  Status LoadReferences(const Results& results);

  RunConfig config_;
  const Clock* clock_;
  std::vector<workload::Problem> problems_;
  std::vector<load::RequestSpec> requests_;
  std::vector<std::unique_ptr<SystemDriver>> drivers_;
  std::vector<Reference> references_;
  int64_t requests_done_ = 0;
};

}  // namespace moecap::run
