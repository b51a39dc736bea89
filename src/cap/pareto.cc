#include "cap/pareto.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/check.h"
#include "cap/lead.h"

namespace moecap::cap {
namespace {}  // namespace

bool Dominates(const ParetoPoint& a, const ParetoPoint& b) {
  CHECK(a.size() == b.size());
  bool below = false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > b[i]) return false;
    below |= a[i] < b[i];
  }
  return below;
}

std::vector<bool> ParetoFront(std::span<const ParetoPoint> points) {
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // In lexicographic order no later point can dominate an earlier one.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return points[a] < points[b]; });
  std::vector<bool> on_front(points.size(), false);
  std::vector<size_t> front;
  for (const size_t candidate : order) {
    const bool beaten =
        std::any_of(front.begin(), front.end(), [&](size_t member) { return Dominates(points[member], points[candidate]); });
    if (beaten) continue;
    on_front[candidate] = true;
    front.push_back(candidate);
  }
  return on_front;
}

std::vector<ParetoEntry> CapFront(std::span<const CapInput> inputs, const ScoreOptions& options,
                                  std::span<const Dimension> dimensions) {
  std::vector<Values> values;
  for (const CapInput& input : inputs) values.push_back(ValuesOf(input));
  const Leads leads(values, Noise(inputs, options), options);
  const auto known = [&](size_t system) {
    return std::all_of(dimensions.begin(), dimensions.end(),
                       [&](Dimension dimension) { return values[system][static_cast<size_t>(dimension)].has_value(); });
  };
  std::vector<ParetoEntry> entries;
  for (size_t self = 0; self < inputs.size(); ++self) {
    ParetoEntry entry;
    entry.system = inputs[self].system;
    if (known(self)) {
      for (size_t other = 0; other < inputs.size(); ++other) {
        if (other != self && known(other) && leads.Dominates(other, self, dimensions))
          entry.dominated_by.push_back(inputs[other].system);
      }
      entry.on_front = entry.dominated_by.empty();
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

namespace {

// The area between a descending staircase and the corner: `points` sorted by x, each adds the strip below the lowest y so far.
double AreaOfSorted(const std::vector<std::array<double, 2>>& points, double reference_x, double reference_y) {
  double area = 0;
  double lowest = reference_y;
  for (const auto& [x, y] : points) {
    if (y >= lowest) continue;
    area += (reference_x - x) * (lowest - y);
    lowest = y;
  }
  return area;
}

double Hypervolume2(std::span<const ParetoPoint> points, const ParetoPoint& reference) {
  std::vector<std::array<double, 2>> inside;
  for (const ParetoPoint& point : points) {
    if (point[0] < reference[0] && point[1] < reference[1]) inside.push_back({point[0], point[1]});
  }
  std::sort(inside.begin(), inside.end());
  return AreaOfSorted(inside, reference[0], reference[1]);
}

// Slices along the last coordinate: between two neighbours the cross-section is that of all points up to the lower one.
double Hypervolume3(std::span<const ParetoPoint> points, const ParetoPoint& reference) {
  std::vector<ParetoPoint> inside;
  for (const ParetoPoint& point : points) {
    if (point[0] < reference[0] && point[1] < reference[1] && point[2] < reference[2]) inside.push_back(point);
  }
  std::sort(inside.begin(), inside.end(), [](const auto& a, const auto& b) { return a[2] < b[2]; });
  double volume = 0;
  for (size_t i = 0; i < inside.size(); ++i) {
    const double top = i + 1 < inside.size() ? inside[i + 1][2] : reference[2];
    if (top > inside[i][2]) volume += (top - inside[i][2]) * Hypervolume2(std::span(inside).first(i + 1), reference);
  }
  return volume;
}

}  // namespace

double Hypervolume(std::span<const ParetoPoint> points, const ParetoPoint& reference) {
  CHECK(reference.size() == 2 || reference.size() == 3);
  for (const ParetoPoint& point : points) CHECK(point.size() == reference.size());
  return reference.size() == 2 ? Hypervolume2(points, reference) : Hypervolume3(points, reference);
}

std::vector<double> HypervolumeContributions(std::span<const ParetoPoint> points, const ParetoPoint& reference) {
  const double all = Hypervolume(points, reference);
  std::vector<double> contributions;
  for (size_t i = 0; i < points.size(); ++i) {
    std::vector<ParetoPoint> others(points.begin(), points.end());
    others.erase(others.begin() + static_cast<ptrdiff_t>(i));
    contributions.push_back(std::max(0.0, all - Hypervolume(others, reference)));
  }
  return contributions;
}

}  // namespace moecap::cap
