#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/table.h"
#include "base/units.h"
#include "report/plot_axis.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 420;
constexpr double kHeight = 276;
constexpr double kTop = 58;
constexpr double kBottom = kHeight - 44;
constexpr double kLeft = 46;
constexpr size_t kNameCells = 14;
constexpr double kBold = 1.15;  // how much wider bold text is

std::string XText(double x) { return x == std::round(x) ? FormatFixed(x, 0) : FormatSignificant(x, 3); }

class LineDrawing {
 public:
  explicit LineDrawing(const LinePlot& plot)
      : plot_(plot), svg_(plot.frame.id, kWidth, kHeight, plot.frame.title, plot.frame.description) {
    double label = 0;
    for (const auto& series : plot_.series) label = std::max(label, kBold * TextWidth(Shorten(series.name, kNameCells)));
    right_ = kWidth - std::max(14.0, label + 8);
    for (const auto& series : plot_.series) {
      for (const auto& point : series.points) {
        xs_.insert(point.x);
        high_ = std::max({high_, point.y, point.high.value_or(0)});
      }
    }
    for (const auto& reference : plot_.references) high_ = std::max(high_, reference.y);
    if (high_ < 1e-12) high_ = 1;
    step_ = RoundStep(high_, 4);
    high_ = std::ceil(high_ / step_ - 1e-9) * step_;
  }

  std::string Draw(SvgMode mode) {
    svg_.Text({0, 14}, plot_.frame.title, "title");
    svg_.Text({0, 31}, plot_.frame.subtitle, "muted small");
    Axes();
    for (const auto& series : plot_.series) Series(series);
    Labels();
    return svg_.Finish(mode);
  }

 private:
  double X(double x) const {
    const double first = std::log2(*xs_.begin());
    const double last = std::log2(*xs_.rbegin());
    if (first == last) return (kLeft + right_) / 2;
    return kLeft + 8 + (std::log2(x) - first) / (last - first) * (right_ - kLeft - 16);
  }
  double Y(double y) const { return kBottom - y / high_ * (kBottom - kTop); }

  void Axes() {
    for (int i = 0; i <= static_cast<int>(std::round(high_ / step_)); ++i) {
      const double y = i * step_;
      svg_.Line({kLeft, Y(y)}, {right_, Y(y)}, i == 0 ? "axis" : "grid");
      svg_.Text({kLeft - 6, Y(y) + 4}, StepNumber(y, step_), "muted small", Anchor::kEnd);
    }
    double last = -100;
    for (const double x : xs_) {
      svg_.Line({X(x), kBottom}, {X(x), kBottom + 4}, "axis");
      if (X(x) - last < 20) continue;
      svg_.Text({X(x), kBottom + 17}, XText(x), "muted small", Anchor::kMiddle);
      last = X(x);
    }
    svg_.Text({(kLeft + right_) / 2, kHeight - 8}, plot_.x_label, "muted small", Anchor::kMiddle);
    for (const auto& reference : plot_.references) {
      svg_.Line({kLeft, Y(reference.y)}, {right_, Y(reference.y)}, "mark");
      // Where a rising curve is not.
      const bool low = reference.y < high_ / 2;
      svg_.Text({low ? right_ - 4 : kLeft + 4, Y(reference.y) - 4}, reference.label, "muted tiny halo",
                low ? Anchor::kEnd : Anchor::kStart);
    }
  }

  // Later curves that run on top of this one: it is drawn wider, so that it shows on both sides.
  int HiddenBy(const PlotSeries& series) const {
    int count = 0;
    for (const PlotSeries* other = &series + 1; other != plot_.series.data() + plot_.series.size(); ++other) {
      const auto near = [this](const PlotPoint& a, const PlotPoint& b) {
        return a.x == b.x && std::abs(Y(a.y) - Y(b.y)) < 1.5;
      };
      if (std::ranges::equal(series.points, other->points, near)) ++count;
    }
    return std::min(count, 3);
  }

  void Series(const PlotSeries& series) {
    svg_.Open(SystemClass(series.system));
    const int hidden = HiddenBy(series);
    std::vector<SvgPoint> line;
    for (const auto& point : series.points) line.push_back({X(point.x), Y(point.y)});
    if (line.size() > 1)
      svg_.Polyline(line, series.dashed ? "dash" : fmt::format("line{}", hidden > 0 ? fmt::format(" under{}", hidden) : ""));
    for (const auto& point : series.points) {
      const SvgPoint at{X(point.x), Y(point.y)};
      if (point.low && point.high && *point.high > *point.low) Whisker(at.x, Y(*point.low), Y(*point.high));
      const std::string tip = fmt::format("{} at {}: {}{}", series.long_name.empty() ? series.name : series.long_name,
                                          XText(point.x), FormatSignificant(point.y, 3), point.valid ? "" : " (not valid)");
      // A dashed curve accompanies a solid one and needs no marks of its own.
      svg_.Marker(series.system, at, series.dashed ? 1.8 : 4 + 2 * hidden, !point.valid && !series.dashed, tip);
      if (!point.valid) svg_.Text({at.x, at.y - 8}, "!", "title alarm", Anchor::kMiddle);
    }
    svg_.Close();
  }

  void Whisker(double x, double low, double high) {
    svg_.Line({x, low}, {x, high}, "thin");
    svg_.Line({x - 3, low}, {x + 3, low}, "thin");
    svg_.Line({x - 3, high}, {x + 3, high}, "thin");
  }

  // Names beside the last points, pushed apart where they would overlap.
  void Labels() {
    struct Label {
      const PlotSeries* series;
      double y;
    };
    std::vector<Label> labels;
    for (const auto& series : plot_.series) {
      if (!series.name.empty() && !series.points.empty()) labels.push_back({&series, Y(series.points.back().y)});
    }
    std::ranges::stable_sort(labels, {}, &Label::y);
    std::vector<double> wanted;
    for (const auto& label : labels) wanted.push_back(label.y);
    const std::vector<double> ys = SpreadApart(std::move(wanted), 14, kBottom);
    for (size_t i = 0; i < labels.size(); ++i) {
      svg_.Open(SystemClass(labels[i].series->system));
      svg_.Text({right_ + 2, ys[i] + 4}, Shorten(labels[i].series->name, kNameCells), "name");
      svg_.Close();
    }
  }

  const LinePlot& plot_;
  Svg svg_;
  std::set<double> xs_;
  double right_ = 0, high_ = 0, step_ = 1;
};

}  // namespace

std::string DrawLines(const LinePlot& plot, SvgMode mode) {
  const bool empty = std::ranges::all_of(plot.series, [](const PlotSeries& series) { return series.points.empty(); });
  return empty ? "" : LineDrawing(plot).Draw(mode);
}

}  // namespace moecap::report
