// Cost and energy of a cell: the node time it took, at what this machine costs an hour.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "cap/summary.h"
#include "cost/ownership.h"
#include "cost/prices.h"
#include "hardware/host.h"

namespace moecap::run {

// What the price catalogue says of `host`, with `overrides` of the configuration on top.
Result<cost::CostInputs> ResolveCostInputs(const hardware::HostInfo& host, const std::map<std::string, double>& overrides);

class CostFigures {
 public:
  // Adds power and the cost inputs, in words, to `host`.
  CostFigures(const cost::CostInputs& inputs, cap::HostSummary& host);

  // `wall_s`: node time of all repetitions. Needs cell.utilization for the division between prefill and decode.
  void Fill(double wall_s, double input_tokens, double output_tokens, cap::CellSummary& cell) const;

 private:
  std::optional<cost::Power> power_;
  std::optional<double> usd_per_h_;
};

}  // namespace moecap::run
