// Axes, step lines and label placement that several plots share. Internal to report/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/svg.h"

namespace moecap::report {

enum class AxisScale { kLinear, kLog, kLog2 };

// Maps values to coordinates. Values of a logarithmic axis must be > 0.
class PlotAxis {
 public:
  // The range of `values`, widened a little so that no mark touches the frame. `from` and `to` are the coordinates of its ends
  // (from > to for an axis that points up). A linear axis with `zero` starts at 0. Requires a value.
  PlotAxis(const std::vector<double>& values, AxisScale scale, double from, double to, bool zero = false);

  double At(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }

  struct Tick {
    double value = 0;
    std::string text;  // empty: a tick without a number
  };
  // At most about `most` numbered ticks: round values; 1, 2 and 5 times powers of ten on a logarithmic axis, powers of two on
  // kLog2.
  std::vector<Tick> Ticks(int most) const;

 private:
  std::vector<Tick> LinearTicks(int most) const;
  std::vector<Tick> LogTicks(int most) const;

  AxisScale scale_;
  double low_, high_;
  double from_, to_;
};

// A step of 1, 2, 2.5 or 5 times a power of ten that cuts `span` into at most `most` parts. Requires span > 0.
double RoundStep(double span, int most);

// `value`, a multiple of `step`, with the decimals that the step needs.
std::string StepNumber(double value, double step);

// 0.5, 950, 12k, 3.5M.
std::string TickNumber(double value);

struct PlotBox {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool Overlaps(const PlotBox& other) const;
};

// Grid lines and numbers of both axes, the frame's two axis lines, and the axis titles below and above.
void DrawAxes(Svg& svg, const PlotBox& area, const PlotAxis& x, const PlotAxis& y, std::string_view x_label,
              std::string_view y_label);

// Finds room for labels: nothing that was blocked or placed before is covered.
class LabelPlacer {
 public:
  explicit LabelPlacer(const PlotBox& area) : area_(area) {}

  void Block(const PlotBox& box) { taken_.push_back(box); }
  // Blocks a straight line.
  void BlockLine(SvgPoint from, SvgPoint to);

  struct Place {
    SvgPoint at;  // baseline
    Anchor anchor = Anchor::kStart;
    std::optional<SvgPoint> leader;  // where a thin line from the mark ends, when the label stands apart
  };
  // Room right above or below a horizontal line at `y`, as near to `from_x` as possible on the way to `to_x`.
  std::optional<Place> FindAlong(double y, double from_x, double to_x, double width, double height);
  // Room for `width` x `height` beside a mark of `radius`; null when there is none within `reach` px.
  std::optional<Place> Find(SvgPoint mark, double radius, double width, double height, double reach);

 private:
  bool Free(const PlotBox& box) const;
  bool CrossesLabel(SvgPoint from, SvgPoint to) const;

  PlotBox area_;
  std::vector<PlotBox> taken_;   // by anything
  std::vector<PlotBox> labels_;  // of them, those that were placed
};

// `wanted` coordinates, ascending, pushed apart to `gap` where they are closer, none above `limit`.
std::vector<double> SpreadApart(std::vector<double> wanted, double gap, double limit);

// A name at its place, with the leader line if it needs one.
void DrawLabel(Svg& svg, SvgPoint mark, const LabelPlacer::Place& place, std::string_view text, std::string_view css);

// Entries that flow from left to right below a plot: a symbol and a name each.
class PlotLegend {
 public:
  explicit PlotLegend(double width) : width_(width) {}

  void Add(size_t symbol, bool hollow, std::string name);
  double Height() const;
  void Draw(Svg& svg, double top) const;

 private:
  struct Entry {
    size_t symbol;
    bool hollow;
    std::string name;
    SvgPoint at;
  };
  double width_;
  double x_ = 0, y_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace moecap::report
