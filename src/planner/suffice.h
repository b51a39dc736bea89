// Which devices suffice for a model? The bandwidth that a decode step needs against that of every device of the catalogue, by
// class of deployment, after Fig. 4 of MoE-CAP; from batch 1 on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "hardware/catalogue.h"
#include "model/model_spec.h"

namespace moecap::planner {

struct StepNeed {
  int64_t batch = 1;
  double bandwidth_bytes_per_s = 0;  // bytes of a step / TPOT; metrics::DecodeCurve
  double memory_bytes = 0;           // weights and KV cache
};
// Requires tpot_s > 0.
std::vector<StepNeed> NeedsOf(const model::ModelSpec& spec, std::span<const int64_t> batches, int64_t context_tokens,
                              double tpot_s);

// One class of deployment at one batch.
struct ClassSuffices {
  int fast_enough = 0;                      // devices whose peak bandwidth is the need or more
  int holding = 0;                          // of them, those that also hold weights and KV cache (unknown memory does not)
  const hardware::Device* least = nullptr;  // of the holding ones that with the least bandwidth
};

struct DeploymentClassSuffices {
  std::string_view name;             // "laptop"
  int devices = 0;                   // with a known bandwidth
  std::vector<ClassSuffices> needs;  // as the needs
};

// In the order of hardware::kDeploymentClasses. Points into the catalogue.
std::vector<DeploymentClassSuffices> WhichSuffice(const hardware::Catalogue& catalogue, std::span<const StepNeed> needs);

}  // namespace moecap::planner
