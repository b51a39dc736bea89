// One sentence that reads a plot, made from what is drawn; empty when there is nothing to say. Marks that must not be used are
// not read.
#pragma once

#include <string>

#include "report/plots.h"

namespace moecap::report {

std::string ReadPareto(const ParetoPlot& plot);
std::string ReadRoofline(const RooflinePlot& plot);
std::string ReadHardwareMap(const HardwareMap& map);
std::string ReadSparsityCurve(const SparsityCurve& curve);
// How unevenly the experts are used.
std::string ReadHeatMap(const HeatMap& map);
// From the first to the last x of each series; `what` and `unit` are of y: "TPOT", "ms".
std::string ReadLines(const LinePlot& plot, const std::string& what, const std::string& unit);

}  // namespace moecap::report
