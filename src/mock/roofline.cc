#include "mock/roofline.h"

#include "base/check.h"
#include "metrics/pass_cost.h"

namespace moecap::mock {

StepCost CostOfStep(const model::ModelSpec& model, const record::PassRecord& pass, const Roofline& roofline) {
  const auto bytes = metrics::PassBytes(model, pass, metrics::Convention::kComplete);
  CHECK(bytes.has_value());
  StepCost cost;
  cost.bytes = *bytes;
  cost.flops = metrics::PassFlops(model, pass, metrics::Convention::kComplete);
  const double memory_s = cost.bytes / (roofline.bandwidth_bytes_per_s * roofline.devices * roofline.bandwidth_efficiency);
  const double compute_s = cost.flops / (roofline.flops_per_s * roofline.devices * roofline.compute_efficiency);
  cost.memory_bound = memory_s >= compute_s;
  cost.seconds = (cost.memory_bound ? memory_s : compute_s) + roofline.overhead_s;
  return cost;
}

double KvCapacityBytes(const model::ModelSpec& model, const Roofline& roofline, double share) {
  return roofline.devices * roofline.memory_bytes * share - model.WeightBytes();
}

}  // namespace moecap::mock
