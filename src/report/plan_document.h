// A plan as a document.
#pragma once

#include <span>
#include <string>

#include "planner/plan.h"
#include "report/document.h"

namespace moecap::report {

// `start_command`: the command that starts one replica; empty = none is known.
Document PlanDocument(const planner::Plan& plan, const std::string& start_command);

// Several models under one question: which of them keep its targets.
Document ModelsDocument(std::span<const planner::Plan> plans, const planner::Question& question);

}  // namespace moecap::report
