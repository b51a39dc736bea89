// Cost and energy of a cell: the node time it took, at what the system's machine costs an hour.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cap/summary.h"
#include "cost/ownership.h"
#include "cost/prices.h"
#include "experiment/config.h"
#include "hardware/host.h"

namespace moecap::experiment {

struct ResolvedCost {
  std::string machine;  // in words; empty = this host, or not told for a server
  cost::CostInputs inputs;
  std::optional<cost::Pay> pay;  // null: nothing was said; rent where a rate is known, else buy
};

// What a system is priced as: its machine, else (in this process) `host`, by the price book with the user's laid over it and
// the configuration's inputs on top. Of a server without a machine nothing but planning values and what was given is known.
// Reads the user's price book. Errors: kBadInput naming key and remedy.
Result<ResolvedCost> ResolveCost(const hardware::HostInfo& host, const SystemConfig& system, const Config& config);

// The built-in price book, with the one in `file` laid over it.
Result<cost::PriceBook> ReadPriceBook(const std::optional<std::filesystem::path>& file, const hardware::Catalogue& catalogue);

// The work of a cell, all whole measurements.
struct CellWork {
  double wall_s = 0;
  double input_tokens = 0;  // computed or served from a prefix cache
  double output_tokens = 0;
  double requests = 0;  // completed
  // Busy time in prefill and in decode; null = not known. `split_is_estimated`: from what clients saw.
  std::optional<double> prefill_s, decode_s;
  bool split_is_estimated = false;
  std::optional<double> chips_j;  // what the counters saw meanwhile; null = not metered, or not every chip
  std::optional<double> gpus_j;   // of the GPUs alone
};

// Mean power by the counters, over all cells of a system. Null as in CellWork.
struct MeteredPower {
  std::optional<double> chips_w, gpus_w;
};

class CostFigures {
 public:
  // Adds price, power and cost inputs in words to `machine`. `energy_source`: of the counters, empty without.
  CostFigures(const cost::CostInputs& inputs, std::optional<cost::Pay> pay, const std::string& energy_source,
              const MeteredPower& metered, cap::MachineSummary& machine);

  // A cell whose energy was metered is charged for that.
  void Fill(const CellWork& work, cap::FigureValues& figures, cap::FigureSet& estimates, bool& is_metered) const;

 private:
  cost::CostInputs WithMeasuredPower(const MeteredPower& metered) const;
  void FillEnergy(const CellWork& work, const cost::CostInputs& inputs, cap::FigureValues& figures, cap::FigureSet& estimates,
                  bool& is_metered) const;

  cost::CostInputs inputs_;
  std::string energy_source_;
  cost::Pay pay_;
};

}  // namespace moecap::experiment
