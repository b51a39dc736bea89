// The figures behind each plot as a table, for readers who cannot see it or want the numbers.
#pragma once

#include <string>
#include <vector>

#include "report/plots.h"

namespace moecap::report {

// Text cells; the first column names the row. "-" stands for what is not known. Empty when the plot is.
struct PlotTable {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

// x down, a column a series; whiskers as "(low to high)", points that must not be used with "!".
PlotTable TableOf(const LinePlot& plot);
PlotTable TableOf(const BarPlot& plot);
PlotTable TableOf(const RadarPlot& plot);
// A row a row of the map: the highest ratio and where it is, the lowest, and how many columns are 0.
PlotTable TableOf(const HeatMap& map);
PlotTable TableOf(const ParetoPlot& plot);
PlotTable TableOf(const RooflinePlot& plot);
PlotTable TableOf(const HardwareMap& map);
// One row a batch of each band, and one a measurement.
PlotTable TableOf(const SparsityCurve& curve);

}  // namespace moecap::report
