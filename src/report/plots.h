// Generic plots, free of what an experiment is: they take labelled numbers and draw them.
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
  std::string long_name;  // in tables and tooltips; empty = name
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

// One quantity of a scatter plot.
struct PlotScale {
  std::string label;  // "cost, USD per 1M output tokens"
  bool logarithmic = false;
  bool higher_is_better = false;
  double unit = 1;  // a value is printed divided by it
};

struct ParetoMark {
  size_t system = 0;
  std::string name;
  double x = 0, y = 0;                                 // > 0 on a logarithmic scale
  std::optional<double> x_low, x_high, y_low, y_high;  // whiskers: intervals
  bool on_front = true;                                // false: dominated, drawn hollow
  bool valid = true;                                   // false: marked with "!"
};

struct ParetoPlot {
  PlotFrame frame;
  PlotScale x, y;
  std::vector<ParetoMark> marks;
};
// Marks with their names; the marks on the front are joined by steps that bound what they dominate. Empty without marks.
std::string DrawPareto(const ParetoPlot& plot, SvgMode mode);

struct Roof {
  std::string label;       // "int8, AVX-512 VNNI"
  double flops_per_s = 0;  // > 0
};

struct RooflineMark {
  size_t system = 0;
  std::string name;
  double flops = 0, bytes = 0, latency_s = 0;  // of the same passes, all > 0
  bool prefill = false;                        // drawn hollow
  bool valid = true;                           // false: marked with "!"
};

// What the hardware allows at an arithmetic intensity, and what was reached.
struct RooflinePlot {
  PlotFrame frame;
  double bandwidth_bytes_per_s = 0;  // > 0
  std::vector<Roof> roofs;           // may be empty: only the slope of the bandwidth is drawn
  std::vector<RooflineMark> marks;
};
// Both scales logarithmic; the ridge of each roof (the intensity from which on compute limits) is marked. Empty without marks.
std::string DrawRoofline(const RooflinePlot& plot, SvgMode mode);

struct HardwareMark {
  std::string name;
  size_t kind = 0;                   // index in HardwareMap::kinds: colour and marker
  double bandwidth_bytes_per_s = 0;  // > 0
  double power_w = 0;                // > 0
  bool chosen = false;               // labelled first, in bold
  std::string note;                  // a second part of the tooltip, e.g. the price; may be empty
};

struct BandwidthRequirement {
  double bandwidth_bytes_per_s = 0;  // > 0
  std::string label;                 // "all experts, TPOT 0.1 s"
};

// Memory bandwidth against power of many devices, after Fig. 4 of MoE-CAP.
struct HardwareMap {
  PlotFrame frame;
  std::vector<std::string> kinds;  // names of the classes, for the legend
  std::vector<HardwareMark> devices;
  std::vector<BandwidthRequirement> requirements;  // horizontal lines
};
// Both scales logarithmic, GB/s over W. Every device has a tooltip; named are the chosen ones and those that no other device
// beats in both, as far as there is room. Empty without devices.
std::string DrawHardwareMap(const HardwareMap& map, SvgMode mode);

struct SharePoint {
  double batch = 1;          // > 0
  double low = 0, high = 0;  // 0..1
};

// An estimate: the area between two assumptions.
struct ShareBand {
  size_t system = 0;  // colour
  std::string name;   // written beside its end
  std::vector<SharePoint> points;
};

struct MeasuredShare {
  size_t system = 0;
  std::string name;
  double batch = 1;                 // > 0
  double share = 0;                 // 0..1
  std::optional<double> low, high;  // whiskers
};

// The share of a model (experts, parameters) that a step activates as the batch grows, after Fig. 5 of MoE-CAP.
struct SparsityCurve {
  PlotFrame frame;
  std::string y_label;  // "activated parameters, %"
  std::vector<ShareBand> bands;
  std::vector<MeasuredShare> measured;
};
// Logarithmic batch (base 2) against percent from 0 to 100. Empty when there is neither a band nor a measurement.
std::string DrawSparsityCurve(const SparsityCurve& curve, SvgMode mode);

}  // namespace moecap::report
