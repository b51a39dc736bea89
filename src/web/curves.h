// Pictures of cells from anywhere in the index.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "report/document.h"
#include "store/cell_query.h"

namespace moecap::web {

// Keys of the figures that the pictures need.
std::vector<std::string> CurveFigures();

// A run's id without the time that it begins with: "20260131-120000-quickstart" -> "quickstart".
std::string ShortName(const std::string& run_id);

// How a cell is called among others: "F16@8". Where systems of several runs bear one name, with what tells these runs apart in
// front: "plain F16@8" and "graphs F16@8" of the runs "...-qwen3-plain" and "...-qwen3-graphs".
std::vector<std::string> CellNames(std::span<const store::CellListing> cells);

// "pareto-...": cost, accuracy and speed against each other, with the front of the valid cells; "throughput-by-level" and
// "tpot-by-level": a curve for each system of a run that has two levels and more, of at most six. Those that draw something.
std::vector<report::Figure> CellFigures(std::span<const store::CellListing> cells);

// As the reports show them, in a grid. Empty without figures.
std::string FiguresHtml(std::vector<report::Figure> figures, const std::string& heading);

}  // namespace moecap::web
