// What experiments and comparisons begin with: the one table of the first screen and the warnings before it. Internal to
// report/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

// One row a cell with the figures that decide.
Table FirstTable(std::span<const ShownCell> cells);

// The gates that tripped, each with the cells in which it did.
std::vector<std::string> WarningsOf(std::span<const ShownCell> cells);

}  // namespace moecap::report
