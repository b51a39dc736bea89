// Generic plots, free of what a run is: they take labelled numbers and draw them. charts.h fills them from a RunSummary.
// Numbers must be finite and at most 1e15.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "report/svg.h"

namespace moecap::report {

// What every plot has: an id unique in the page, a heading, a second line that names the quantity and its unit, and a
// description for those who cannot see the picture.
struct PlotFrame {
  std::string id, title, subtitle, description;
};

struct PlotPoint {
  double x = 0;  // > 0
  double y = 0;
  std::optional<double> low, high;  // whiskers
  bool valid = true;                // false: drawn hollow
};

struct PlotSeries {
  size_t system = 0;  // colour and marker
  std::string name;   // written beside the last point; empty = no label
  std::vector<PlotPoint> points;
  bool dashed = false;
};

struct ReferenceLine {
  double y = 0;
  std::string label;
};

struct LinePlot {
  PlotFrame frame;
  std::string x_label;
  std::vector<PlotSeries> series;
  std::vector<ReferenceLine> references;
};
// Logarithmic x (base 2) with a tick at every x that occurs, linear y from 0. Empty when there is no point.
std::string DrawLines(const LinePlot& plot, SvgMode mode);

struct Bar {
  size_t system = 0;
  std::string name;
  double value = 0;
  std::optional<double> low, high;  // whiskers
  std::string text;                 // the figure, written after the bar
  bool valid = true;
};

struct BarPlot {
  PlotFrame frame;
  std::vector<Bar> bars;
  std::optional<double> maximum;  // of the axis; by default the longest bar
};
// Horizontal bars from 0. Empty when there is no bar.
std::string DrawBars(const BarPlot& plot, SvgMode mode);

struct HeatMap {
  PlotFrame frame;
  std::string row_label, column_label;
  std::vector<std::vector<double>> ratios;  // [row][column], 1 = neutral, 0 = never
};
// Blue below 1, orange above, grey for 0; half an octave a shade, from 1/4 to 4. Small maps print each ratio.
std::string DrawHeatMap(const HeatMap& map, SvgMode mode);

struct RadarSeries {
  size_t system = 0;
  std::string name;
  std::vector<std::optional<double>> scores;  // one an axis, 0..100
};

struct RadarPlot {
  PlotFrame frame;
  std::vector<std::string> axes;  // the first points up, then clockwise
  std::vector<RadarSeries> series;
};
// A polygon a series; where a score is missing only the sides between known scores are drawn.
std::string DrawRadar(const RadarPlot& plot, SvgMode mode);

}  // namespace moecap::report
