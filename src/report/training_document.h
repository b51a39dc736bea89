// "What does a training step take, and what does a token of training cost?" as a document and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "planner/training.h"
#include "report/document.h"

namespace moecap::report {

struct TrainingAnswer {
  std::string model, devices;  // "2048 x H800 SXM5"
  planner::TrainingSetup setup;
  planner::TrainingWork work;
  planner::TrainingMemory memory;
  double device_bytes = 0;                    // of a device's memory
  std::optional<planner::TrainingTime> time;  // predicted; null: the step was measured
  std::optional<double> measured_step_s;      // by step or by device hours
  planner::TrainingUtilization slow, fast;    // at the longest and the shortest step; equal when it was measured
  std::optional<double> usd_per_h;            // of all devices
  std::string usd_source;                     // in words; empty = not known
  double least_step_s = 0;                    // planner::LeastStepSeconds
  std::vector<std::string> notes;             // what was assumed, and what cannot be

  double ShortestStepS() const { return measured_step_s ? *measured_step_s : time->hidden_s; }
  // A measured step that the peaks do not allow.
  bool TooFast() const { return measured_step_s && *measured_step_s < least_step_s; }
  double LongestStepS() const { return measured_step_s ? *measured_step_s : time->serial_s; }
};

Document TrainingDocument(const TrainingAnswer& answer);
Json TrainingToJson(const TrainingAnswer& answer);

}  // namespace moecap::report
