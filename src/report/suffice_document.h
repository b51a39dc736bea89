// "Which devices suffice?" as a document and as JSON.
#pragma once

#include <string>
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

// `catalogue`: for the map of all devices.
Document SufficeDocument(const SufficeAnswer& answer, const hardware::Catalogue& catalogue);
Json SufficeToJson(const SufficeAnswer& answer);

}  // namespace moecap::report
