// What stored runs measured, as rows of the planner's fit: moecap plan --calibrate, and the check of the planner against our
// own measurements (bench/planner_accuracy).
#pragma once

#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cap/summary.h"
#include "experiment/results.h"
#include "hardware/catalogue.h"
#include "planner/fit.h"

namespace moecap::app {

struct MeasuredLevel {
  std::string run, system, level;  // as they call themselves
  std::string architecture;        // of the model: "olmoe"
  bool valid = false;              // no gate of the cell tripped
  // From the measurement of this machine's ceilings to the run; null where it has none.
  std::optional<double> ceilings_age_s;
  planner::Observation observation;  // closed loop, both times known
};

// The planner's name of an engine: "vLLM 0.26.0" is vllm, "llama.cpp v0.5.0 (CPU)" llama-server; "" = none that it knows.
std::string PlannedSystemOf(std::string_view engine);

// Load and times of a closed-loop cell; false where something that the fit needs was not measured. Of one client the TPOT is
// enough (llama-bench has no more).
bool SetTimes(const record::Level& level, const cap::FigureValues& figures, planner::Observation& row);

class MeasuredLevels {
 public:
  explicit MeasuredLevels(const hardware::Catalogue& devices) : devices_(devices) {}

  // Adds the closed-loop levels of one stored run: of systems that the planner knows, with all weights on devices of one
  // kind, whose model and peaks the run knows. The others are counted in `unusable`. Errors: kBadInput naming the file.
  Status Add(const std::filesystem::path& run_dir);

  const std::vector<MeasuredLevel>& levels() const { return levels_; }
  size_t unusable() const { return unusable_; }

 private:
  void AddSystem(const experiment::Manifest& manifest, const experiment::PricedSystem& priced,
                 const cap::SystemSummary& summary);

  const hardware::Catalogue& devices_;
  std::deque<planner::ModelWork> works_;  // that the observations point to
  std::deque<hardware::Device> used_;
  std::vector<MeasuredLevel> levels_;
  size_t unusable_ = 0;
};

}  // namespace moecap::app
