// Two plots that only load tests have: percentiles of a distribution, and requests in flight over time. Generic: they take
// labelled numbers, which must be finite and at most 1e15.
#pragma once

#include <string>
#include <vector>

#include "report/plot_table.h"
#include "report/plots.h"

namespace moecap::report {

struct PercentilePoint {
  double q = 0;           // 0 < q < 1
  double value = 0;       // > 0
  bool supported = true;  // false: the sample is too small for this percentile; not drawn
  std::optional<double> low, high;
};

struct PercentileSeries {
  size_t system = 0;  // colour and marker
  std::string name;
  std::vector<PercentilePoint> points;  // ascending q
};

struct PercentilePlot {
  PlotFrame frame;
  std::string y_label;  // "TTFT, ms"
  std::vector<PercentileSeries> series;
};
// The inverse of the distribution function: q on a logit scale, so that both tails show, against the value (logarithmic where
// it spans more than a factor of 4). Bounds are whiskers. Empty without a supported point.
std::string DrawPercentiles(const PercentilePlot& plot, SvgMode mode);

struct StepSeries {
  size_t system = 0;
  std::string name;
  std::vector<double> at;     // ascending
  std::vector<double> value;  // from at[i] to at[i + 1]
};

struct TimeBand {
  double from = 0, to = 0;
  std::string label;
};

struct StepPlot {
  PlotFrame frame;
  std::string x_label, y_label;
  std::vector<StepSeries> series;
  std::vector<TimeBand> bands;  // shaded behind the curves
};
// Linear axes from 0. Empty without a series of at least two steps.
std::string DrawSteps(const StepPlot& plot, SvgMode mode);

// A row a percentile; "n/a" where it is not supported.
PlotTable TableOf(const PercentilePlot& plot);
// The values at 20 instants.
PlotTable TableOf(const StepPlot& plot);

}  // namespace moecap::report
