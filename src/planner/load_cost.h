// What a token costs at a given load: $ and J per million tokens from nearly idle to saturation, on hardware that is paid for
// whether it works or not.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/search.h"

namespace moecap::planner {

struct LoadCostQuestion {
  cost::MachinePart devices;  // one replica on all of them
  std::string system = "vllm";
  Load load;        // its lengths; clients and rate are not read
  Targets targets;  // where the curve is marked
  double margin = 1.15;
  Launch launch = Launch::kEither;
  std::optional<double> max_running;  // as Question::max_running
  std::vector<double> rates;          // requests/s; empty = from a 64th of the greatest to the greatest
  std::optional<double> usd_per_h;    // what is paid for all devices, instead of the catalogue's prices
  double idle_power_share = 0.3;      // of the power under load that is drawn while nothing runs: an assumption
};

struct CostPoint {
  double requests_per_s = 0;  // offered
  double served_per_s = 0;    // at most what saturation allows
  double utilisation = 0;     // served / greatest
  double idle_share = 0;      // of the time, with no request in the system: exp(-running), as of M/G/infinity
  double tpot_s = 0;
  std::optional<double> ttft_s;  // null where saturated: the queue grows without end
  bool keeps = false;            // the targets
  bool saturated = false;        // more is offered than can be served
  // Per million output tokens, the hour's whole bill on the tokens of that hour. Null: no price is known.
  std::optional<double> rent_usd, own_usd;
  std::optional<double> joules;
};

struct LoadCost {
  metrics::Deployment deployment;
  double greatest_per_s = 0;  // requests that can be served
  double most_running = 0;    // at once: what memory holds, or what the launch lets run
  bool limited = false;       // the latter
  std::optional<double> rent_usd_per_h, own_usd_per_h, watts;
  std::optional<double> targets_until_per_s;  // the greatest rate that keeps the targets; null: none are given, 0: no rate does
  std::string breaks;                         // what breaks there: "TPOT", "TTFT", "E2E", "capacity", "the running limit"
  std::vector<CostPoint> points;              // by rate
  double spread = 1;                          // cost of a token at the first point / at the last
  ErrorBand band;
  std::vector<std::string> notes;  // what the catalogue does not know
};

// Errors kBadInput: an unknown device, a model that does not fit, a rate that is not positive.
Result<LoadCost> CostOfLoad(const LoadCostQuestion& question, const model::ModelSpec& spec, const Ingredients& ingredients);

}  // namespace moecap::planner
