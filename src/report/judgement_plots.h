// The plots of what the judge looked at. Internal to report/.
#pragma once

#include <span>
#include <vector>

#include "cap/judgement.h"
#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

// "cap-radar" (two systems and more), bars "accuracy", "cost", "performance", and "pareto-cost-accuracy",
// "pareto-performance-accuracy", "pareto-cost-performance" with the judge's fronts. `cells` as JudgementSection.
std::vector<Figure> JudgementFigures(const cap::Judgement& judgement, std::span<const ShownCell> cells);

}  // namespace moecap::report
