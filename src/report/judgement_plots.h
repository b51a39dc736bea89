// The plots of what the judge looked at. Internal to report/.
#pragma once

#include <span>
#include <vector>

#include "cap/judgement.h"
#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

// Bars "accuracy", "cost", "performance"; "pareto-cost-accuracy", "pareto-performance-accuracy", "pareto-cost-performance" with
// the judge's fronts; and last "cap-radar". None for fewer than two systems. `cells` as JudgementSection.
std::vector<Figure> JudgementFigures(const cap::Judgement& judgement, std::span<const ShownCell> cells);

}  // namespace moecap::report
