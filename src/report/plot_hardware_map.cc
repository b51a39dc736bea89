#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "base/units.h"
#include "report/plot_axis.h"
#include "report/plots.h"

namespace moecap::report {
namespace {

constexpr double kWidth = 760;
constexpr PlotBox kArea{52, 74, kWidth - 8, 500};
constexpr double kRadius = 4;
constexpr size_t kNameCells = 32;
constexpr double kTextHeight = 11;

// Whether no other device has more bandwidth for no more power, or as much for less.
bool OnFrontier(const HardwareMap& map, const HardwareMark& device) {
  return std::ranges::none_of(map.devices, [&device](const HardwareMark& other) {
    const bool as_good = other.bandwidth_bytes_per_s >= device.bandwidth_bytes_per_s && other.power_w <= device.power_w;
    const bool better = other.bandwidth_bytes_per_s > device.bandwidth_bytes_per_s || other.power_w < device.power_w;
    return as_good && better;
  });
}

class MapDrawing {
 public:
  explicit MapDrawing(const HardwareMap& map)
      : map_(map),
        x_(Values(map, true), AxisScale::kLog, kArea.left, kArea.right),
        y_(Values(map, false), AxisScale::kLog, kArea.bottom, kArea.top),
        placer_(kArea),
        legend_(kWidth) {
    for (size_t kind = 0; kind < map.kinds.size(); ++kind) {
      const auto count = std::ranges::count(map.devices, kind, &HardwareMark::kind);
      if (count > 0) legend_.Add(kind, false, fmt::format("{} ({})", map.kinds[kind], count));
    }
  }

  std::string Draw(SvgMode mode) {
    Svg svg(map_.frame.id, kWidth, kArea.bottom + 50 + legend_.Height(), map_.frame.title, map_.frame.description);
    svg.Text({0, 14}, map_.frame.title, "title");
    svg.Text({0, 31}, map_.frame.subtitle, "muted small");
    DrawAxes(svg, kArea, x_, y_, "power, W (log scale)", "memory bandwidth, GB/s (log scale)");
    for (const auto& device : map_.devices) {
      const SvgPoint at = At(device);
      placer_.Block({at.x - kRadius, at.y - kRadius, at.x + kRadius, at.y + kRadius});
    }
    Requirements(svg);
    Marks(svg);
    Labels(svg);
    legend_.Draw(svg, kArea.bottom + 46);
    return svg.Finish(mode);
  }

 private:
  static std::vector<double> Values(const HardwareMap& map, bool power) {
    std::vector<double> values;
    for (const auto& device : map.devices) values.push_back(power ? device.power_w : device.bandwidth_bytes_per_s * 1e-9);
    if (!power) {
      for (const auto& requirement : map.requirements) values.push_back(requirement.bandwidth_bytes_per_s * 1e-9);
    }
    return values;
  }

  SvgPoint At(const HardwareMark& device) const { return {x_.At(device.power_w), y_.At(device.bandwidth_bytes_per_s * 1e-9)}; }

  void Requirements(Svg& svg) {
    for (const auto& requirement : map_.requirements) {
      const double y = y_.At(requirement.bandwidth_bytes_per_s * 1e-9);
      svg.Line({kArea.left, y}, {kArea.right, y}, "mark");
      placer_.BlockLine({kArea.left, y}, {kArea.right, y});
    }
    // After all lines are known, so that no label lies on one.
    for (const auto& requirement : map_.requirements) {
      const std::string text = fmt::format("{}: {:.5g} GB/s", requirement.label, requirement.bandwidth_bytes_per_s * 1e-9);
      const auto place = placer_.FindAlong(y_.At(requirement.bandwidth_bytes_per_s * 1e-9), kArea.left + 4, kArea.right,
                                           TextWidth(text) * 10 / 12, kTextHeight);
      if (place) svg.Text(place->at, text, "muted tiny halo", place->anchor);
    }
  }

  void Marks(Svg& svg) const {
    for (const auto& device : map_.devices) {
      const std::string note = device.note.empty() ? "" : "; " + device.note;
      svg.Open(SystemClass(device.kind));
      svg.Marker(device.kind, At(device), kRadius, false,
                 fmt::format("{}: {}, {} W{}", device.name, FormatSi(device.bandwidth_bytes_per_s, "B/s"),
                             FormatSignificant(device.power_w, 3), note));
      svg.Close();
    }
  }

  void Labels(Svg& svg) {
    std::vector<const HardwareMark*> order;
    for (const auto& device : map_.devices) {
      if (device.chosen || OnFrontier(map_, device)) order.push_back(&device);
    }
    std::ranges::stable_sort(order, [](const HardwareMark* a, const HardwareMark* b) {
      return a->chosen != b->chosen ? a->chosen : a->bandwidth_bytes_per_s > b->bandwidth_bytes_per_s;
    });
    for (const HardwareMark* device : order) {
      const std::string name = Shorten(device->name, kNameCells);
      // The chosen ones may stand further off.
      const auto place = placer_.Find(At(*device), kRadius, TextWidth(name) * (device->chosen ? 1.0 : 10.0 / 12), kTextHeight,
                                      device->chosen ? 90 : 26);
      if (place) DrawLabel(svg, At(*device), *place, name, device->chosen ? "title small halo" : "tiny halo");
    }
  }

  const HardwareMap& map_;
  PlotAxis x_, y_;
  LabelPlacer placer_;
  PlotLegend legend_;
};

}  // namespace

std::string DrawHardwareMap(const HardwareMap& map, SvgMode mode) {
  return map.devices.empty() ? "" : MapDrawing(map).Draw(mode);
}

}  // namespace moecap::report
