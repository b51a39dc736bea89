// Predicted against measured, for the benchmark of the planner: errors, and bands that hold 80 % of the measurements.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "planner_rows.h"

namespace moecap::bench {

double Quantile(std::vector<double> values, double share);
double Percent(int part, int whole);

struct Errors {
  std::vector<double> ratio;  // predicted / measured

  double Absolute(double share) const;  // quantile of |ratio - 1|
  double Mean() const;
  void Print(const std::string& name) const;  // a line of the tables, in %
};

struct Predictions {
  std::vector<double> tpot_at;                   // with the measured number of running requests
  std::vector<double> tpot, ttft, tokens_per_s;  // with nothing but the question
};

using KeyOf = std::function<std::string(const SiliconRow&)>;

// Of the rows that `take` wants.
Errors ErrorsOf(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                std::optional<double> planner::Observation::*measured, const std::function<bool(const SiliconRow&)>& take);

// 80 % of the measurements of a group that nobody has seen (stats/unseen_group.h), a tenth outside on either side. NaN: made of
// fewer than nine groups.
struct Band {
  double low = 1, high = 1;  // of measured / predicted

  static Band Of(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                 std::optional<double> planner::Observation::*measured, const KeyOf& group,
                 const std::function<bool(const SiliconRow&)>& take);
  bool Holds(double measured, double predicted) const { return low * predicted <= measured && measured <= high * predicted; }
};

// How many of the rows that `take` wants lie inside.
int Held(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
         std::optional<double> planner::Observation::*measured, const Band& band,
         const std::function<bool(const SiliconRow&)>& take);
// The same as a share in % where each group counts once.
double HeldByGroup(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                   std::optional<double> planner::Observation::*measured, const Band& band, const KeyOf& group);
// Share of the rows in % inside bands that are made of the other keys' groups: predictions and band are both blind to the key.
double CrossCoverage(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                     std::optional<double> planner::Observation::*measured, const KeyOf& group, const KeyOf& key);
// The group of a band: one deployment (model, weights, GPU type, system, layout), whose rows are loads of the same server.
std::string BandGroup(const SiliconRow& row);

}  // namespace moecap::bench
