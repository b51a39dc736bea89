// Checks by which an experiment judges its own measurements: whether the client, the machine, or a system that did something
// else than it was asked, spoils the figures. Bounds and reasons: docs/metrics.md, "Gates".
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "experiment/results.h"
#include "metrics/gate.h"
#include "metrics/load_summary.h"

namespace moecap::experiment {

struct GateFacts {
  const Measurement& measurement;
  const PricedSystem& system;
  const Facts& facts;
  const metrics::LoadFigures& load;  // of the records
};

// Whether a request that ended well did something else than was planned; null where one side is not known.
struct PlanMismatch {
  std::optional<bool> input;   // another length of the prompt
  std::optional<bool> output;  // another length of the answer, which was to be exact
  std::optional<bool> cache;   // more of the prompt came from the prefix cache, beyond workload::kMostChanceTokens
};
PlanMismatch CompareToPlan(const record::RequestRecord& request, const PlanEntry& entry);

// In the order of the documentation; of a system in this process only those that apply to one. A gate that cannot be judged is
// there, with the reason.
std::vector<metrics::Gate> JudgeMeasurement(const GateFacts& facts);

// The worst of each name over all measurements: one that tripped before one that passed before one that was not measured; of
// those alike the one farthest from its bound. In the order of the first.
std::vector<metrics::Gate> WorstOf(std::span<const std::vector<metrics::Gate>> gates);

// Whether the engine chose the same tokens for the same prompts in every repetition, as greedy decoding in this process must.
// Null for fewer than two.
std::optional<metrics::Gate> JudgeRepetitions(std::span<const Facts* const> repetitions);

}  // namespace moecap::experiment
