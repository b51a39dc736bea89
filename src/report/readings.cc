#include "report/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/units.h"
#include "report/format.h"
#include "report/plot_axis.h"

namespace moecap::report {
namespace {

// "12 to 34 %", or one figure when both round alike.
std::string PercentRange(double low, double high) {
  const std::string a = FormatSignificant(low * 100, 3);
  const std::string b = FormatSignificant(high * 100, 3);
  return a == b ? a + " %" : a + " to " + b + " %";
}

std::string NumberRange(double low, double high) {
  const std::string a = FormatSignificant(low, 2);
  const std::string b = FormatSignificant(high, 2);
  return a == b ? a : a + " to " + b;
}

struct PhaseOnRoofline {
  double lowest = 0, highest = 0;             // FLOP per byte
  double least_share = 0, largest_share = 0;  // of the bandwidth
  bool any = false;
};

PhaseOnRoofline Describe(const RooflinePlot& plot, bool prefill) {
  PhaseOnRoofline phase;
  for (const auto& mark : plot.marks) {
    if (mark.prefill != prefill || !mark.valid) continue;
    const double intensity = mark.flops / mark.bytes;
    const double share = mark.bytes / mark.latency_s / plot.bandwidth_bytes_per_s;
    phase.lowest = phase.any ? std::min(phase.lowest, intensity) : intensity;
    phase.highest = phase.any ? std::max(phase.highest, intensity) : intensity;
    phase.least_share = phase.any ? std::min(phase.least_share, share) : share;
    phase.largest_share = phase.any ? std::max(phase.largest_share, share) : share;
    phase.any = true;
  }
  return phase;
}

}  // namespace

std::string ReadPareto(const ParetoPlot& plot) {
  std::vector<std::string> front;
  std::vector<std::string> behind;
  for (const auto& mark : plot.marks) {
    if (mark.valid) (mark.on_front ? front : behind).push_back(mark.name);
  }
  if (front.empty()) return "";
  std::string text = fmt::format("On the front: {}", JoinWords(front));
  if (front.size() == 1 && !behind.empty()) return text + ", which beats every other one in both.";
  if (!behind.empty()) text += fmt::format("; {} {} dominated", JoinWords(behind), behind.size() == 1 ? "is" : "are");
  return text + ".";
}

std::string ReadRoofline(const RooflinePlot& plot) {
  const PhaseOnRoofline decode = Describe(plot, false);
  const PhaseOnRoofline prefill = Describe(plot, true);
  if (!decode.any && !prefill.any) return "";
  double ridge = 0;
  for (const auto& roof : plot.roofs) {
    const double own = roof.flops_per_s / plot.bandwidth_bytes_per_s;
    ridge = ridge == 0 ? own : std::min(ridge, own);
  }
  std::vector<std::string> parts;
  if (decode.any) {
    std::string text = fmt::format("decoding does {} FLOP per byte", NumberRange(decode.lowest, decode.highest));
    const std::string used = PercentRange(decode.least_share, decode.largest_share);
    if (ridge > 0 && decode.highest < ridge) {
      text +=
          fmt::format(", left of the ridge at {}: bandwidth limits it, {} of it is used", FormatSignificant(ridge, 2), used);
    } else if (ridge > 0 && decode.lowest >= ridge) {
      text += fmt::format(", right of the ridge at {}: compute limits it", FormatSignificant(ridge, 2));
    } else {
      text += fmt::format(" and uses {} of the bandwidth", used);
    }
    parts.push_back(std::move(text));
  }
  if (prefill.any) parts.push_back(fmt::format("prefill does {}", NumberRange(prefill.lowest, prefill.highest)));
  std::string text = fmt::format("{}.", fmt::join(parts, "; "));
  text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string ReadHardwareMap(const HardwareMap& map) {
  if (map.devices.empty()) return "";
  const auto bandwidth = &HardwareMark::bandwidth_bytes_per_s;
  std::vector<std::string> parts;
  for (const auto& requirement : map.requirements) {
    const HardwareMark* frugal = nullptr;
    int64_t enough = 0;
    for (const auto& device : map.devices) {
      if (device.bandwidth_bytes_per_s < requirement.bandwidth_bytes_per_s) continue;
      ++enough;
      if (frugal == nullptr || device.power_w < frugal->power_w) frugal = &device;
    }
    parts.push_back(frugal == nullptr ? fmt::format("{}: no single device suffices", requirement.label)
                                      : fmt::format("{}: {} of {} devices, the least power takes {} ({} W)", requirement.label,
                                                    enough, map.devices.size(), frugal->name, TickNumber(frugal->power_w)));
  }
  if (!parts.empty()) return fmt::format("{}.", fmt::join(parts, "; "));
  const auto& fastest = *std::ranges::max_element(map.devices, {}, bandwidth);
  return fmt::format("The most bandwidth has {}: {} at {} W.", fastest.name, FormatSi(fastest.bandwidth_bytes_per_s, "B/s"),
                     TickNumber(fastest.power_w));
}

std::string ReadSparsityCurve(const SparsityCurve& curve) {
  std::vector<std::string> parts;
  for (const auto& band : curve.bands) {
    if (band.points.empty()) continue;
    const SharePoint& first = band.points.front();
    const auto half =
        std::ranges::find_if(band.points, [](const SharePoint& point) { return (point.low + point.high) / 2 >= 0.5; });
    std::string text =
        fmt::format("{} activates {} at batch {}", band.name, PercentRange(first.low, first.high), TickNumber(first.batch));
    if (half != band.points.end() && half != band.points.begin())
      text += fmt::format(" and half or more from batch {} on", TickNumber(half->batch));
    parts.push_back(std::move(text));
  }
  for (const auto& point : curve.measured)
    parts.push_back(
        fmt::format("{} measured {} at batch {}", point.name, FormatPercent(point.share, 1), TickNumber(point.batch)));
  return parts.empty() ? "" : fmt::format("{}.", fmt::join(parts, "; "));
}

std::string ReadHeatMap(const HeatMap& map) {
  double highest = -1;
  size_t row = 0, column = 0;
  int64_t unused = 0;
  for (size_t i = 0; i < map.ratios.size(); ++i) {
    for (size_t k = 0; k < map.ratios[i].size(); ++k) {
      const double ratio = map.ratios[i][k];
      if (ratio == 0) ++unused;
      if (ratio <= highest) continue;
      highest = ratio;
      row = i;
      column = k;
    }
  }
  if (highest < 0) return "";
  const std::string idle =
      unused == 0 ? fmt::format("every {} was used", map.column_label) : fmt::format("{} were never used", unused);
  return fmt::format("The busiest is {} {} of {} {}, with {} its uniform share; {}.", map.column_label, column, map.row_label,
                     row, TimesText(highest), idle);
}

std::string ReadLines(const LinePlot& plot, const std::string& what, const std::string& unit) {
  std::vector<std::string> parts;
  for (const PlotSeries& series : plot.series) {
    if (series.dashed) continue;
    std::vector<PlotPoint> valid;
    std::ranges::copy_if(series.points, std::back_inserter(valid), &PlotPoint::valid);
    if (valid.size() < 2) continue;
    parts.push_back(fmt::format("{} from {} to {}{} between {} and {}", series.name, FormatSignificant(valid.front().y, 3),
                                FormatSignificant(valid.back().y, 3), unit.empty() ? "" : " " + unit,
                                TickNumber(valid.front().x), TickNumber(valid.back().x)));
  }
  return parts.empty() ? "" : Sentence(fmt::format("{}: {}", what, fmt::join(parts, "; ")));
}

}  // namespace moecap::report
