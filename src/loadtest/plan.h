// From a workload to what one measurement sends: requests, times, sources for each thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "load/source.h"
#include "loadtest/config.h"
#include "loadtest/results.h"
#include "loadtest/target.h"
#include "workload/request_set.h"

namespace moecap::loadtest {

// Everything that one measurement sends. The sources refer to the other members: it does not move.
class MeasurementPlan {
 public:
  // `level` as of LoadTestConfig::levels; `number` counts the measurements of a load test from 0: each has prompts, salts and
  // arrival times of its own, so that no server can answer one from what it cached in another. Errors: MakeRequests's, and
  // kBadInput when the server does not take what the workload asks for.
  static Result<std::unique_ptr<MeasurementPlan>> Create(const LoadTestConfig& config, double level, int number,
                                                         const std::string& run_id, Target& target);
  MeasurementPlan(const MeasurementPlan&) = delete;
  MeasurementPlan& operator=(const MeasurementPlan&) = delete;

  // One a thread, `threads` of them. Call once.
  Result<std::vector<std::unique_ptr<load::Source>>> MakeSources(const LoadTestConfig& config, double level, bool as_messages);

  // In the order in which they are planned to be sent.
  const std::vector<PlanEntry>& entries() const { return entries_; }
  int64_t requests() const { return static_cast<int64_t>(specs_.size()); }
  const std::string& description() const { return description_; }
  const std::vector<std::string>& notes() const { return notes_; }
  const std::vector<load::RequestSpec>& warmup() const { return warmup_; }

 private:
  MeasurementPlan() = default;
  Status ScheduleOpenLoop(const LoadTestConfig& config, double level, int number);
  void GroupConversations(const std::vector<workload::PlannedPrompt>& prompts);

  std::string description_;
  std::vector<std::string> notes_;
  std::vector<load::RequestSpec> specs_;
  std::vector<PlanEntry> entries_;
  std::vector<load::RequestSpec> warmup_;
  std::vector<load::PlannedRequest> schedule_;             // of an open loop
  std::vector<std::vector<load::PlannedRequest>> shares_;  // of each thread
  std::vector<load::Conversation> conversations_;          // of users
  std::unique_ptr<load::SharedIndex> next_;
};

}  // namespace moecap::loadtest
