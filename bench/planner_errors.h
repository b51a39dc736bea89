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

// What lies between the tenths of measured / predicted: 80 % of the rows it is made of.
struct Band {
  double low = 1, high = 1;

  static Band Of(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                 std::optional<double> planner::Observation::*measured, const std::function<bool(const SiliconRow&)>& take) {
    std::vector<double> ratio = ErrorsOf(rows, predicted, measured, take).ratio;
    for (double& value : ratio) value = 1 / value;
    return {Quantile(ratio, .1), Quantile(ratio, .9)};
  }
  bool Holds(double measured, double predicted) const { return low * predicted <= measured && measured <= high * predicted; }
};

// How many of the rows that `take` wants lie inside.
int Held(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
         std::optional<double> planner::Observation::*measured, const Band& band,
         const std::function<bool(const SiliconRow&)>& take);
// Share of the rows in % inside bands made without their own group: predictions and band are both blind to it.
double CrossCoverage(const std::vector<SiliconRow>& rows, const std::vector<double>& predicted,
                     std::optional<double> planner::Observation::*measured, const KeyOf& key);

}  // namespace moecap::bench
