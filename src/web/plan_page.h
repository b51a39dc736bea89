// The planner as a form: what `moecap plan` answers, with each number on a slider.
#pragma once

#include <functional>
#include <string>

#include "planner/plan.h"
#include "web/http.h"

namespace moecap::web {

// The command that starts one replica of a plan; empty = none is known.
using LaunchLine = std::function<std::string(const planner::Plan&)>;

// ?model=ID and the keys of planner::QuestionKeys(). Error: kBadInput, naming the key.
Result<planner::Plan> PlanOf(const Query& query, bool changes);

Response PlanPage(const Query& query, const LaunchLine& launch, bool writable);
// docs/formats/plan.md; &changes=1: also what would change the answer.
Response PlanJson(const Query& query, const LaunchLine& launch);

}  // namespace moecap::web
