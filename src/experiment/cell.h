// One cell: the figures of a system at a level, from the facts of its measurements. Internal to experiment/.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "experiment/cost_figures.h"
#include "experiment/results.h"
#include "metrics/utilization.h"

namespace moecap::experiment {

// What the cells of a system have in common.
struct CellContext {
  const Manifest& manifest;
  const PricedSystem& system;
  metrics::Peaks peaks;
  const CostFigures& cost;
  std::string usual_answer;  // UsualAnswer of the system
};

// The most frequent answer of a system to the control question, the earliest of those alike; "" without answers.
std::string UsualAnswer(const Manifest& manifest, const std::string& system);

struct MeasuredFacts {
  const Measurement* measurement = nullptr;
  Facts facts;
};

// `measurements`: of one system and level, by repetition; may hold interrupted ones, which are listed and enter no figure.
cap::CellSummary SummarizeCell(const CellContext& context, std::span<const MeasuredFacts> measurements);

// What the counters saw in whole measurements and the time in which they did, for a system's mean power.
struct MeteredTime {
  double chips_j = 0, chips_s = 0;
  double gpus_j = 0, gpus_s = 0;

  MeteredPower Power() const;
};
void AddMeteredTime(std::span<const MeasuredFacts> measurements, MeteredTime& metered);

}  // namespace moecap::experiment
