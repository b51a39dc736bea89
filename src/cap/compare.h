// From measurements to a comparison.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cap/comparison.h"
#include "cap/resample.h"

namespace moecap::cap {

struct Candidate {
  ComparedSystem identity;  // who it is; its figures and scores are filled in here
  MeasuredSystem measured;  // no figures for a system that tripped a validity gate
};

struct CompareOptions {
  CapView view;
  std::string normalisation = "paper";
  size_t baseline = 0;  // index of a candidate
  AxisLimits limits;
  ScoreOptions scores;  // its axes are set from `view`
  stats::ResamplingOptions resampling;
  std::string tier, tier_source;  // for the decision matrix; empty = not known
  DecisionMatrix matrix;
};

// Labels must be unique. Everything but what describes the runs (runs, mismatches, warnings). The result has the order of
// `candidates`; apart from what refers to the baseline, no figure depends on it.
Comparison CompareSystems(std::vector<Candidate> candidates, const CompareOptions& options);

// The inputs of ScoreSystems, resamples included, and of each axis of `view` the resamples ([system][axis of view.axes]).
struct ScoredInputs {
  std::vector<CapInput> inputs;
  std::vector<AxisResamples> resamples;
};
ScoredInputs MakeCapInputs(std::span<const MeasuredSystem> systems, const CapView& view,
                           const stats::ResamplingOptions& options);

}  // namespace moecap::cap
