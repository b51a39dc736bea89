// A plan as a document.
#pragma once

#include <string>

#include "planner/plan.h"
#include "report/document.h"

namespace moecap::report {

// `launch`: the command that starts one replica; empty = none is known.
Document PlanDocument(const planner::Plan& plan, const std::string& launch);

}  // namespace moecap::report
