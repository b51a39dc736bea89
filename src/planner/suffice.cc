#include "planner/suffice.h"

#include "metrics/batch_curve.h"
#include "planner/serving.h"

namespace moecap::planner {

std::vector<StepNeed> NeedsOf(const model::ModelSpec& spec, std::span<const int64_t> batches, int64_t context_tokens,
                              double tpot_s) {
  std::vector<StepNeed> needs;
  for (const metrics::BatchPoint& point : metrics::DecodeCurve(spec, batches, {.context_tokens = context_tokens})) {
    needs.push_back({point.batch, point.bytes_per_step / tpot_s,
                     spec.WeightBytes() + static_cast<double>(point.batch) * spec.ResidentKvBytes(context_tokens)});
  }
  return needs;
}

std::vector<DeploymentClassSuffices> WhichSuffice(const hardware::Catalogue& catalogue, std::span<const StepNeed> needs) {
  std::vector<DeploymentClassSuffices> classes;
  for (const std::string_view name : hardware::kDeploymentClasses) {
    DeploymentClassSuffices& one = classes.emplace_back(DeploymentClassSuffices{name, 0, {}});
    one.needs.resize(needs.size());
    for (const hardware::Device& device : catalogue.devices()) {
      if (DeploymentClass(device) != name || !device.bandwidth_bytes_per_s) continue;
      ++one.devices;
      for (size_t i = 0; i < needs.size(); ++i) {
        ClassSuffices& at = one.needs[i];
        if (*device.bandwidth_bytes_per_s < needs[i].bandwidth_bytes_per_s) continue;
        ++at.fast_enough;
        if (UsableMemory(device) < needs[i].memory_bytes) continue;
        ++at.holding;
        if (!at.least || *device.bandwidth_bytes_per_s < *at.least->bandwidth_bytes_per_s) at.least = &device;
      }
    }
  }
  return classes;
}

}  // namespace moecap::planner
