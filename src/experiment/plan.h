// From what is asked to what one measurement sends: requests, times, sources for each thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/driver.h"
#include "experiment/problem_set.h"
#include "experiment/prompt_ids.h"
#include "experiment/results.h"
#include "experiment/shard.h"
#include "load/source.h"
#include "workload/request_set.h"

namespace moecap::experiment {

inline constexpr const char* kControlId = "control-";  // what the ids of control questions begin with

struct PlanInput {
  const Config& config;
  const PreparedProblems& problems;  // of the configuration's data set; empty for a workload
  record::Level level;
  // Counts the levels and repetitions of an experiment from 0: generated prompts and arrival times differ between them and are
  // equal for all systems.
  int number = 0;
  std::string salt;  // unique to the measurement: keeps apart what a server may serve from its prefix cache
  const PromptIds& ids;
  Shard shard;  // of the load; the plan is the whole one all the same
};

// Everything that one measurement sends. The sources refer to the other members: it does not move.
class MeasurementPlan {
 public:
  // Errors: MakeRequests's, and kBadInput when the system does not take what is asked.
  static Result<std::unique_ptr<MeasurementPlan>> Create(const PlanInput& input, SystemDriver& driver);
  MeasurementPlan(const MeasurementPlan&) = delete;
  MeasurementPlan& operator=(const MeasurementPlan&) = delete;

  // One a thread, `threads` of them; together they hold this shard's part. Call once.
  Result<std::vector<std::unique_ptr<load::Source>>> MakeSources(const Config& config, const record::Level& level, int threads,
                                                                 bool as_messages);

  // In the order in which they are planned to be sent.
  const std::vector<PlanEntry>& entries() const { return entries_; }
  const std::vector<load::RequestSpec>& specs() const { return specs_; }
  int64_t requests() const { return std::ssize(specs_); }
  // Those that this shard sends; of conversations an estimate.
  int64_t own_requests() const { return ShareOf(requests(), shard_); }
  const std::string& description() const { return description_; }
  const std::vector<std::string>& notes() const { return notes_; }
  // All waves of the warm-up (warm_up.h), each of warmup_wave() requests; one wave where the configuration says how many.
  const std::vector<load::RequestSpec>& warmup() const { return warmup_; }
  int64_t warmup_wave() const { return warmup_wave_; }
  // Before the waves, where the configuration wants it, for a server in a closed loop: 1, 2, ... and as many prompts at once as
  // this shard has clients, one token each, for servers that compile a kernel at the first pass of so many prompts.
  const std::vector<std::vector<load::RequestSpec>>& bursts() const { return bursts_; }
  // The same short question a few times, equal in all measurements of an experiment: of a server that decodes greedily all
  // answers should be equal. The first one is meant to be asked alone, the others amid the warm-up. Empty for an engine in this
  // process, without a warm-up, and where decoding is not greedy.
  const std::vector<load::RequestSpec>& controls() const { return controls_; }

 private:
  MeasurementPlan() = default;
  Result<workload::RequestSet> PromptsOf(const PlanInput& input, SystemDriver& driver);
  Status AddWarmup(const PlanInput& input, SystemDriver& driver);
  void AddControls(const PlanInput& input, const SystemDriver& driver);
  Status ScheduleOpenLoop(const Config& config, const record::Level& level, int number);
  void GroupConversations(const std::vector<workload::PlannedPrompt>& prompts);

  std::string description_;
  std::vector<std::string> notes_;
  std::vector<load::RequestSpec> specs_;
  std::vector<PlanEntry> entries_;
  std::vector<load::RequestSpec> warmup_, controls_;
  std::vector<std::vector<load::RequestSpec>> bursts_;
  int64_t warmup_wave_ = 0;
  Shard shard_;
  std::vector<load::PlannedRequest> schedule_;             // of an open loop
  std::vector<std::vector<load::PlannedRequest>> shares_;  // of each thread
  std::vector<load::Conversation> conversations_;          // of users
  std::unique_ptr<load::SharedIndex> next_;
};

// Connections to open, or KV slots to make, for a system at a level: as many as requests of this shard are in flight at most,
// where that is known.
int Connections(const Config& config, const SystemDescription& system, const record::Level& level, const Shard& shard);

}  // namespace moecap::experiment
