#include "report/plot_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/table.h"
#include "base/units.h"

namespace moecap::report {
namespace {

constexpr double kMargin = 0.06;  // of the length of the axis, on both sides
constexpr double kSmallText = 11.0 / 12;
constexpr size_t kLegendCells = 26;

}  // namespace

PlotAxis::PlotAxis(const std::vector<double>& values, AxisScale scale, double from, double to, bool zero)
    : scale_(scale), from_(from), to_(to) {
  CHECK(!values.empty());
  const auto [low, high] = std::ranges::minmax(values);
  if (scale == AxisScale::kLinear) {
    double span = high - (zero ? std::min(low, 0.0) : low);
    // One value, or values that rounding errors alone tell apart, stand in the middle of a readable range.
    if (span <= 1e-9 * std::max(std::abs(high), 1e-12)) span = std::max(std::abs(high) * 0.2, 1e-9);
    low_ = zero ? std::min(low, 0.0) : low - kMargin * span;
    high_ = std::max(high, low + (zero ? 0 : span)) + kMargin * span;
    return;
  }
  CHECK(low > 0);
  const double span = std::max(std::log2(high / low), scale == AxisScale::kLog2 ? 1.0 : 0.5);
  low_ = low * std::exp2(-kMargin * span);
  high_ = std::max(high, low * std::exp2(span)) * std::exp2(kMargin * span);
}

double PlotAxis::At(double value) const {
  const double share = scale_ == AxisScale::kLinear ? (value - low_) / (high_ - low_)
                                                    : std::log(std::max(value, 1e-300) / low_) / std::log(high_ / low_);
  return from_ + std::clamp(share, 0.0, 1.0) * (to_ - from_);
}

std::vector<PlotAxis::Tick> PlotAxis::Ticks(int most) const {
  if (scale_ == AxisScale::kLinear) return LinearTicks(most);
  if (scale_ == AxisScale::kLog) return LogTicks(most);
  std::vector<Tick> ticks;
  const int first = static_cast<int>(std::ceil(std::log2(low_) - 1e-9));
  const int last = static_cast<int>(std::floor(std::log2(high_) + 1e-9));
  const int every = (last - first) / most + 1;
  for (int power = first; power <= last; ++power) {
    const double value = std::exp2(power);
    ticks.push_back({value, (power - first) % every == 0 ? TickNumber(value) : ""});
  }
  return ticks;
}

std::vector<PlotAxis::Tick> PlotAxis::LinearTicks(int most) const {
  std::vector<Tick> ticks;
  const double step = RoundStep(high_ - low_, most);
  for (double index = std::ceil(low_ / step - 1e-9); index * step <= high_ + 1e-9 * step; ++index) {
    ticks.push_back({index * step, StepNumber(index * step, step)});
  }
  return ticks;
}

std::vector<PlotAxis::Tick> PlotAxis::LogTicks(int most) const {
  const int first = static_cast<int>(std::floor(std::log10(low_)));
  const int last = static_cast<int>(std::ceil(std::log10(high_)));
  const auto collect = [&](const std::vector<int>& factors, int every) {
    std::vector<Tick> ticks;
    for (int decade = first; decade <= last; ++decade) {
      for (const int factor : factors) {
        const double value = factor * std::pow(10.0, decade);
        if (value < low_ * (1 - 1e-9) || value > high_ * (1 + 1e-9)) continue;
        ticks.push_back({value, (decade - first) % every == 0 ? TickNumber(value) : ""});
      }
    }
    return ticks;
  };
  // The densest set that fits.
  for (const auto& factors : {std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 5}, {1, 3}, {1}}) {
    auto ticks = collect(factors, 1);
    if (static_cast<int>(ticks.size()) <= most) return ticks;
  }
  return collect({1}, (last - first) / most + 1);
}

double RoundStep(double span, int most) {
  const double rough = span / most;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= rough * 0.999) return factor * power;
  }
  return 10 * power;
}

std::string StepNumber(double value, double step) {
  if (step >= 1000) return TickNumber(value);
  for (int decimals = 0; decimals < 6; ++decimals) {
    const double scaled = step * std::pow(10.0, decimals);
    if (std::abs(scaled - std::round(scaled)) < 1e-9 * std::max(1.0, scaled)) return FormatFixed(value, decimals);
  }
  return FormatSignificant(value, 3);
}

std::string TickNumber(double value) {
  const double size = std::abs(value);
  for (const auto& [unit, name] : {std::pair(1e12, "T"), std::pair(1e9, "G"), std::pair(1e6, "M"), std::pair(1e3, "k")}) {
    if (size >= 10 * unit || (size >= unit && unit > 1e3)) return fmt::format("{:.3g}{}", value / unit, name);
  }
  return fmt::format("{:.4g}", value);
}

bool PlotBox::Overlaps(const PlotBox& other) const {
  return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
}

void DrawAxes(Svg& svg, const PlotBox& area, const PlotAxis& x, const PlotAxis& y, std::string_view x_label,
              std::string_view y_label) {
  const auto room = [](double length, double pitch) { return std::max(2, static_cast<int>(length / pitch)); };
  for (const auto& tick : x.Ticks(room(area.right - area.left, 48))) {
    const double at = x.At(tick.value);
    svg.Line({at, area.top}, {at, area.bottom}, "grid");
    if (!tick.text.empty()) svg.Text({at, area.bottom + 15}, tick.text, "muted small", Anchor::kMiddle);
  }
  for (const auto& tick : y.Ticks(room(area.bottom - area.top, 28))) {
    const double at = y.At(tick.value);
    svg.Line({area.left, at}, {area.right, at}, "grid");
    if (!tick.text.empty()) svg.Text({area.left - 6, at + 4}, tick.text, "muted small", Anchor::kEnd);
  }
  svg.Line({area.left, area.bottom}, {area.right, area.bottom}, "axis");
  svg.Line({area.left, area.top}, {area.left, area.bottom}, "axis");
  svg.Text({(area.left + area.right) / 2, area.bottom + 32}, x_label, "muted small", Anchor::kMiddle);
  svg.Text({0, area.top - 10}, y_label, "muted small");
}

void LabelPlacer::BlockLine(SvgPoint from, SvgPoint to) {
  const double length = std::hypot(to.x - from.x, to.y - from.y);
  const int pieces = std::max(1, static_cast<int>(length / 5));
  for (int i = 0; i <= pieces; ++i) {
    const double share = static_cast<double>(i) / pieces;
    const SvgPoint at{from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)};
    Block({at.x - 2, at.y - 2, at.x + 2, at.y + 2});
  }
}

bool LabelPlacer::Free(const PlotBox& box) const {
  const bool inside = box.left >= area_.left && box.right <= area_.right && box.top >= area_.top && box.bottom <= area_.bottom;
  return inside && std::ranges::none_of(taken_, [&box](const PlotBox& other) { return box.Overlaps(other); });
}

bool LabelPlacer::CrossesLabel(SvgPoint from, SvgPoint to) const {
  constexpr int kSteps = 12;
  for (int i = 0; i <= kSteps; ++i) {
    const SvgPoint at{from.x + i * (to.x - from.x) / kSteps, from.y + i * (to.y - from.y) / kSteps};
    const bool inside = std::ranges::any_of(labels_, [&at](const PlotBox& box) {
      return at.x > box.left && at.x < box.right && at.y > box.top && at.y < box.bottom;
    });
    if (inside) return true;
  }
  return false;
}

std::optional<LabelPlacer::Place> LabelPlacer::FindAlong(double y, double from_x, double to_x, double width, double height) {
  const double step = from_x < to_x ? 8 : -8;
  for (double x = from_x; step > 0 ? x + width <= to_x : x - width >= to_x; x += step) {
    for (const double top : {y - height - 3, y + 3}) {
      const PlotBox box{step > 0 ? x : x - width, top, step > 0 ? x + width : x, top + height};
      if (!Free(box)) continue;
      Block(box);
      labels_.push_back(box);
      return Place{{x, top + height * 0.82}, step > 0 ? Anchor::kStart : Anchor::kEnd, std::nullopt};
    }
  }
  return std::nullopt;
}

std::optional<LabelPlacer::Place> LabelPlacer::Find(SvgPoint mark, double radius, double width, double height, double reach) {
  struct Side {
    double x, y;
    Anchor anchor;
  };
  static constexpr Side kSides[] = {{1, 0, Anchor::kStart},     {-1, 0, Anchor::kEnd},       {0, -1, Anchor::kMiddle},
                                    {0, 1, Anchor::kMiddle},    {0.7, -0.7, Anchor::kStart}, {0.7, 0.7, Anchor::kStart},
                                    {-0.7, -0.7, Anchor::kEnd}, {-0.7, 0.7, Anchor::kEnd}};
  for (double distance = radius + 3; distance <= std::max(radius + 3, reach); distance += 7) {
    for (const Side& side : kSides) {
      const SvgPoint middle{mark.x + side.x * distance, mark.y + side.y * (distance + (side.x == 0 ? height / 2 : 0))};
      PlotBox box{middle.x, middle.y - height / 2, middle.x + width, middle.y + height / 2};
      const double shift = side.anchor == Anchor::kStart ? 0 : side.anchor == Anchor::kEnd ? width : width / 2;
      box.left -= shift;
      box.right -= shift;
      if (!Free(box)) continue;
      Place place{{middle.x, middle.y + height * 0.32}, side.anchor, std::nullopt};
      if (distance > radius + 8) {
        place.leader = SvgPoint{middle.x - side.x * 2, middle.y - (side.x == 0 ? side.y * height / 2 : 0)};
        if (CrossesLabel(mark, *place.leader)) continue;
        BlockLine(mark, *place.leader);
      }
      Block(box);
      labels_.push_back(box);
      return place;
    }
  }
  return std::nullopt;
}

std::vector<double> SpreadApart(std::vector<double> wanted, double gap, double limit) {
  for (size_t i = 1; i < wanted.size(); ++i) wanted[i] = std::max(wanted[i], wanted[i - 1] + gap);
  for (size_t i = wanted.size(); i > 0; --i) {
    wanted[i - 1] = std::min(wanted[i - 1], limit);
    limit = wanted[i - 1] - gap;
  }
  return wanted;
}

void DrawLabel(Svg& svg, SvgPoint mark, const LabelPlacer::Place& place, std::string_view text, std::string_view css) {
  if (place.leader) svg.Line(mark, *place.leader, "leader");
  svg.Text(place.at, text, css, place.anchor);
}

void PlotLegend::Add(size_t symbol, bool hollow, std::string name) {
  name = Shorten(name, kLegendCells);
  const double width = TextWidth(name) * kSmallText + 30;
  if (x_ > 0 && x_ + width > width_) {
    x_ = 0;
    y_ += 18;
  }
  entries_.push_back({symbol, hollow, std::move(name), {x_, y_}});
  x_ += width;
}

double PlotLegend::Height() const { return entries_.empty() ? 0 : y_ + 18; }

void PlotLegend::Draw(Svg& svg, double top) const {
  for (const Entry& entry : entries_) {
    svg.Open(SystemClass(entry.symbol));
    svg.Marker(entry.symbol, {entry.at.x + 7, top + entry.at.y + 5}, 4.5, entry.hollow);
    svg.Close();
    svg.Text({entry.at.x + 17, top + entry.at.y + 9}, entry.name, "small");
  }
}

}  // namespace moecap::report
