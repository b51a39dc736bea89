// Fitting the multipliers to measurements, and predicting what was measured.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "planner/serving.h"

namespace moecap::planner {

// One measured level of a benchmark: what was deployed, how it was loaded, what clients saw. The pointers must outlive it.
struct Observation {
  const ModelWork* work = nullptr;
  const hardware::Device* device = nullptr;
  metrics::Deployment deployment;
  Fabric fabric;
  std::string system;                      // "vllm"
  Load load;                               // closed loop
  double most_sequences = 0;               // that fit into a replica
  double running_limit = kNoRunningLimit;  // that its launch lets run there
  double poll_steps = 1;                   // ServingPoint::poll_steps
  std::optional<double> tpot_s, ttft_s;
};

// Requests that decoded at once in a replica by Little's law: clients x T_decode / (TTFT + T_decode), as measured; at least 1.
// Requires both times, but of one client a replica.
double MeasuredRunning(const Observation& observation);

// With the number of running requests as measured.
double PredictTpotAt(const Observation& observation, const StepFactors& factors);
// With nothing but the question.
Serving Predict(const Observation& observation, const StepFactors& factors);

enum class FitTarget { kTpot, kTtft };

struct FitOptions {
  FitTarget target = FitTarget::kTpot;
  double ridge = 0.002;  // pull of each multiplier's logarithm towards the prior, per row
  double corner = 0.05;  // of the pseudo-Huber loss on log ratios: below it squares, above it absolute values
  int rounds = 40;
};

// The multipliers `keys` of `prior`, moved so that the mean pseudo-Huber loss of ln(predicted / measured) is least
// (Levenberg-Marquardt on reweighted squares in the multipliers' logarithms; never below their `least`). A multiplier that no
// row depends on stays. `rows` says on how many measurements each rests. Rows without the target are left out.
Multipliers Fit(const Multipliers& prior, std::span<const Observation> rows, std::span<const std::string> keys,
                const FitOptions& options);

// The keys that public measurements determine for a target: those of systems and generations that occur in the rows included.
std::vector<std::string> FittedKeys(const Multipliers& multipliers, std::span<const Observation> rows, FitTarget target);

}  // namespace moecap::planner
