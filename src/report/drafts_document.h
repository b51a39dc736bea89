// "Does speculative decoding pay?" as a document and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "planner/speculation.h"
#include "report/document.h"

namespace moecap::report {

struct DraftsAnswer {
  std::string model;
  planner::SpeculationSetting setting;
  std::vector<planner::SpeculationPrediction> rows;  // K = 0, 1, ...
  std::vector<int64_t> windows;                      // of the trace, by tokens of a pass; empty: estimated
  bool decoded = false;                              // windows of decoded tokens alone
};

Document DraftsDocument(const DraftsAnswer& answer);
Json DraftsToJson(const DraftsAnswer& answer);

}  // namespace moecap::report
