#include "planner_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "stats/unseen_group.h"

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

std::string BandGroup(const SiliconRow& row) {
  const metrics::Deployment& d = row.observation.deployment;
  return fmt::format("{}|{}|{}|{}|{} {} {}", row.family, row.precision, row.gpu, row.observation.system, d.tensor, d.expert,
                     d.data);
}

Band Band::Of(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
              std::optional<double> Observation::*measured, const KeyOf& group,
              const std::function<bool(const SiliconRow&)>& take) {
  std::map<std::string, std::vector<double>> groups;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (take(rows[i])) groups[group(rows[i])].push_back(std::log(*(rows[i].observation.*measured) / predicted[i]));
  }
  std::vector<std::vector<double>> ratios;
  for (auto& [name, members] : groups) ratios.push_back(std::move(members));
  constexpr double kOutside = 0.1;  // on either side
  const auto interval = stats::UnseenGroupInterval(ratios, kOutside);
  return interval ? Band{std::exp(interval->low), std::exp(interval->high)} : Band{std::nan(""), std::nan("")};
}

int Held(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
         std::optional<double> Observation::*measured, const Band& band, const std::function<bool(const SiliconRow&)>& take) {
  int held = 0;
  for (size_t i = 0; i < rows.size(); ++i) held += take(rows[i]) && band.Holds(*(rows[i].observation.*measured), predicted[i]);
  return held;
}

double HeldByGroup(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                   std::optional<double> Observation::*measured, const Band& band, const KeyOf& group) {
  std::map<std::string, std::pair<int, int>> groups;  // held, rows
  for (size_t i = 0; i < rows.size(); ++i) {
    auto& [held, all] = groups[group(rows[i])];
    held += band.Holds(*(rows[i].observation.*measured), predicted[i]);
    ++all;
  }
  double sum = 0;
  for (const auto& [name, counts] : groups) sum += Percent(counts.first, counts.second);
  return sum / static_cast<double>(groups.size());
}

double CrossCoverage(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                     std::optional<double> Observation::*measured, const KeyOf& group, const KeyOf& key) {
  std::set<std::string> keys;
  for (const SiliconRow& row : rows) keys.insert(key(row));
  int held = 0;
  for (const std::string& each : keys) {
    const Band band = Band::Of(rows, predicted, measured, group, [&](const SiliconRow& row) { return key(row) != each; });
    held += Held(rows, predicted, measured, band, [&](const SiliconRow& row) { return key(row) == each; });
  }
  return Percent(held, static_cast<int>(rows.size()));
}

}  // namespace moecap::bench
