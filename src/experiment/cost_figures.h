// Cost and energy of a cell: the node time it took, at what the machine costs an hour.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cap/summary.h"
#include "cost/ownership.h"
#include "cost/prices.h"
#include "hardware/host.h"
#include "experiment/config.h"

namespace moecap::experiment {

struct ResolvedCost {
  cost::CostInputs inputs;
  cost::Pay pay = cost::Pay::kBuy;
};

// What the run is priced as: the configuration's machine, else `host`, by the price book with the user's laid over it and the
// configuration's inputs on top. When all systems are servers, `host` is only the client: without a machine or a price in the
// configuration nothing but planning values is known. Reads the user's price book. Errors: kBadInput naming file, key and
// remedy.
Result<ResolvedCost> ResolveCostInputs(const hardware::HostInfo& host, const RunConfig& config);

// The built-in price book, with the one in `file` laid over it.
Result<cost::PriceBook> ReadPriceBook(const std::optional<std::filesystem::path>& file, const hardware::Catalogue& catalogue);

// What the counters saw in all repetitions of a cell, and the node time in which they saw it.
struct CellEnergy {
  double chips_j = 0;
  double wall_s = 0;
};

// The work of a cell, all repetitions.
struct CellWork {
  double wall_s = 0;
  double input_tokens = 0;
  double output_tokens = 0;
  double requests = 0;            // that ended well
  std::optional<double> chips_j;  // what the counters saw meanwhile; null = not measured
};

class CostFigures {
 public:
  // Adds power, cost inputs in words, ranges and break-even to `host`. `energy_source`: of the counters, empty without;
  // `measured`: what they saw over the whole run, for the machine's mean power.
  CostFigures(const cost::CostInputs& inputs, std::optional<cost::Pay> pay, const std::string& energy_source,
              const std::optional<CellEnergy>& measured, cap::HostSummary& host);

  // Needs cell.utilization for the division between prefill and decode. A cell whose energy was measured is charged for that.
  void Fill(const CellWork& work, cap::CellSummary& cell) const;

 private:
  cost::CostInputs WithMeasuredPower(double chips_j, double wall_s) const;
  void FillEnergy(const CellWork& work, const cost::CostInputs& inputs, cap::CellSummary& cell) const;

  cost::CostInputs inputs_;
  std::string energy_source_;
  cost::Pay pay_;
};

}  // namespace moecap::experiment
