// What the systems are, how far they use their hardware, and what they cost. Internal to report/.
#pragma once

#include <span>
#include <vector>

#include "cap/summary.h"
#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

// `systems`: each once.
Section SystemSection(std::span<const cap::SystemSummary* const> systems);
Section UtilizationSection(std::span<const ShownCell> cells, std::vector<Figure> plots);
Section CostSection(std::span<const cap::SystemSummary* const> systems, std::span<const ShownCell> cells);
// One table: accuracy with its interval and what was scored.
Section AccuracySection(std::span<const ShownCell> cells);

}  // namespace moecap::report
