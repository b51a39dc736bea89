// A plan as JSON: docs/formats/plan.md.
#pragma once

#include <string>

#include "base/json.h"
#include "planner/plan.h"

namespace moecap::report {

inline constexpr int kPlanSchema = 2;

// `start_command`: the command that starts one replica; empty = none is known. At most `most` candidates.
Json PlanToJson(const planner::Plan& plan, const std::string& start_command, size_t most = 20);

}  // namespace moecap::report
