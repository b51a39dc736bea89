// A plan seen as MoE-CAP sees it: the best way of each class beside the paper's decision matrix, and the bandwidth that the
// model needs against that of the devices.
#pragma once

#include "planner/plan.h"
#include "report/document.h"

namespace moecap::report {

// A row for each class of Table 7: what it gives up, what the paper names for it, the best way here.
Table ClassTable(const planner::Plan& plan);

// Fig. 4 for this model: a line for one request and one for as many as run, at the TPOT target, or at the TPOT of the best way
// where there is none. Requires plan.best.
Figure NeedFigure(const planner::Plan& plan);

}  // namespace moecap::report
