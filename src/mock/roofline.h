// How long a pass takes on given devices: the roofline of its bytes and FLOPs (metrics/pass_cost.h, complete convention).
#pragma once

#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::mock {

struct Roofline {
  double bandwidth_bytes_per_s = 0;  // peak of one device
  double flops_per_s = 0;            // dense peak of one device
  double memory_bytes = 0;           // of one device
  int devices = 1;                   // their peaks add up; nothing is counted twice, nothing crosses a link

  // What an engine reaches of the peaks, and what a pass costs besides (launches, scheduling, sampling). The defaults are round
  // numbers of the order that planners fit to published serving results, not a measurement.
  double bandwidth_efficiency = 0.75;
  double compute_efficiency = 0.45;
  double overhead_s = 0.0005;
};

struct StepCost {
  double bytes = 0;
  double flops = 0;
  double seconds = 0;  // max(bytes / (bandwidth x efficiency), FLOPs / (peak x efficiency)) + overhead
  bool memory_bound = true;
};

// Requires a pass whose distinct experts are known, and peaks and efficiencies > 0.
StepCost CostOfStep(const model::ModelSpec& model, const record::PassRecord& pass, const Roofline& roofline);

// Memory that weights leave for the KV cache: devices x memory x `share` - weights. <= 0: the model does not fit.
double KvCapacityBytes(const model::ModelSpec& model, const Roofline& roofline, double share);

}  // namespace moecap::mock
