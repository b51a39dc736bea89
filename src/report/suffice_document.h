// "Which devices suffice?" as a document and as JSON.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "planner/suffice.h"
#include "report/document.h"

namespace moecap::report {

struct SufficeAnswer {
  std::string model;
  double tpot_s = 0.1;
  int64_t context_tokens = 4096;
  std::vector<planner::StepNeed> needs;
  std::vector<planner::DeploymentClassSuffices> classes;
  double weight_bytes = 0;
};

// Devices by bandwidth and power and what decode steps need, a line for each, after Fig. 4 of MoE-CAP. `chosen`: the id of one
// that is labelled first; "" = none.
Figure DeviceMap(const std::string& model, double tpot_s, std::span<const planner::StepNeed> needs,
                 const std::vector<const hardware::Device*>& devices, std::string_view chosen = "");

// `catalogue`: for the map of all devices.
Document SufficeDocument(const SufficeAnswer& answer, const hardware::Catalogue& catalogue);
Json SufficeToJson(const SufficeAnswer& answer);

}  // namespace moecap::report
