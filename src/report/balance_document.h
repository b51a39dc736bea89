// "Is expert parallelism balanced, and is EPLB worth it?" as a document and as JSON.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "planner/expert_balance.h"
#include "report/document.h"

namespace moecap::report {

struct BalanceAnswer {
  std::string model, device, phase;  // "decode passes"
  planner::BalanceQuestion question;
  planner::Balance balance;
  std::vector<std::string> notes;
};

Document BalanceDocument(const BalanceAnswer& answer);
Json BalanceToJson(const BalanceAnswer& answer);

}  // namespace moecap::report
