#include "planner_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace moecap::bench {

using planner::Observation;

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

double Percent(int part, int whole) { return 100.0 * part / std::max(1, whole); }

double Errors::Absolute(double share) const {
  std::vector<double> values;
  for (const double r : ratio) values.push_back(std::abs(r - 1));
  return Quantile(values, share);
}

double Errors::Mean() const {
  double sum = 0;
  for (const double r : ratio) sum += std::abs(r - 1);
  return sum / static_cast<double>(ratio.size());
}

void Errors::Print(const std::string& name) const {
  fmt::print("  {:<34} {:>5} {:>8.1f} {:>8.1f} {:>8.1f} {:>+8.1f}   {:.2f} to {:.2f}\n", name, ratio.size(), 100 * Absolute(.5),
             100 * Mean(), 100 * Absolute(.9), 100 * (Quantile(ratio, .5) - 1), Quantile(ratio, .1), Quantile(ratio, .9));
}

Errors ErrorsOf(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                std::optional<double> Observation::*measured, const std::function<bool(const SiliconRow&)>& take) {
  Errors errors;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (take(rows[i])) errors.ratio.push_back(predicted[i] / *(rows[i].observation.*measured));
  }
  return errors;
}

int Held(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
         std::optional<double> Observation::*measured, const Band& band, const std::function<bool(const SiliconRow&)>& take) {
  int held = 0;
  for (size_t i = 0; i < rows.size(); ++i) held += take(rows[i]) && band.Holds(*(rows[i].observation.*measured), predicted[i]);
  return held;
}

double CrossCoverage(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                     std::optional<double> Observation::*measured, const KeyOf& key) {
  std::set<std::string> groups;
  for (const SiliconRow& row : rows) groups.insert(key(row));
  int held = 0;
  for (const std::string& group : groups) {
    const Band band = Band::Of(rows, predicted, measured, [&](const SiliconRow& row) { return key(row) != group; });
    held += Held(rows, predicted, measured, band, [&](const SiliconRow& row) { return key(row) == group; });
  }
  return Percent(held, static_cast<int>(rows.size()));
}

}  // namespace moecap::bench
