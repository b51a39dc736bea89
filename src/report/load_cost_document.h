// "What does a token cost at my load?" as a document and as JSON.
#pragma once

#include <string>

#include "base/json.h"
#include "planner/load_cost.h"
#include "report/document.h"

namespace moecap::report {

struct LoadCostAnswer {
  std::string model, devices;  // "1 x H100 SXM5"
  planner::LoadCostQuestion question;
  planner::LoadCost cost;
};

Document LoadCostDocument(const LoadCostAnswer& answer);
Json LoadCostToJson(const LoadCostAnswer& answer);

}  // namespace moecap::report
