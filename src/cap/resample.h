// How far a figure would move if the run were repeated, by the bootstrap (Efron 1979): the same figures of resamples drawn with
// replacement from what was recorded.
//
// Two things are drawn. Problems: one draw serves every system that answered the same problems, and every figure of a resample,
// so that what makes a problem hard or its answer long moves all of them together. Accuracy follows from it, and latencies, all
// repetitions of a problem going with it. Repetitions, together for the systems of one run, which were measured in turns within
// each: throughput, goodput, cost and energy follow from them, and latencies are scaled by them, which covers a drift of the
// machine from one repetition to the next, and leaves it out of differences as far as it touched all systems alike. Deviations
// of repetitions are stretched by sqrt(n / (n - 1)), since n draws of n show too little of the spread when n is small; with
// n = 1 they show nothing: the noise of throughput, cost and energy is then not known, that of latencies covers requests only.
//
// What this does not cover: a disturbance that lasts longer than a repetition, and whether the problems stand for others.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/axis.h"
#include "stats/bootstrap.h"

namespace moecap::cap {

// One problem as a system answered it.
struct ProblemSample {
  std::string id;
  std::optional<double> score;                // 0..1, of the first repetition
  std::vector<double> ttft_s, tpot_s, e2e_s;  // one a repetition that ended well
};

struct RepeatSample {
  double seconds = 0;  // node time
  double output_tokens = 0;
  double requests = 0;                          // that ended well
  std::optional<double> good_requests;          // that kept the service level; null without one
  std::optional<double> ttft_s, tpot_s, e2e_s;  // means over the requests that ended well
};

// What one system brings at one concurrency.
struct MeasuredSystem {
  std::string label;   // unique among those compared
  std::string run_id;  // systems of one run with as many repetitions share their draws; empty: none does
  std::array<std::optional<double>, kAxisCount> figures{};  // by AxisId
  std::vector<ProblemSample> problems;                      // in the order of the data set
  std::vector<RepeatSample> repeats;

  std::optional<double> Figure(AxisId axis) const { return figures[static_cast<size_t>(axis)]; }
};

// What carries the noise of a figure.
enum class NoiseSource { kNone, kProblems, kRequests, kRepeats };
NoiseSource NoiseSourceOf(AxisId axis);

// The figures of the resamples of one system, for each axis that was asked for; an empty list where the noise is not known.
using AxisResamples = std::vector<std::vector<double>>;

// Deterministic: a system's resamples depend on its own samples, its run or label and the seed, not on the other systems or the
// order.
std::vector<AxisResamples> Resample(std::span<const MeasuredSystem> systems, std::span<const AxisId> axes,
                                    const stats::ResamplingOptions& options = {});

// Whether the resamples of two systems come from the same draws of problems.
bool SameProblems(const MeasuredSystem& a, const MeasuredSystem& b);

// Scores in the order of the problems; empty unless every problem has one.
std::vector<double> ItemScores(const MeasuredSystem& system);

}  // namespace moecap::cap
