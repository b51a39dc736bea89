// The highest load that meets service-level objectives, found with few runs although every run is noisy.
//
// A probe at one rate (or concurrency) offers requests and tells, in time order, which met all objectives. The share is
// compared with the target by an interval that knows that neighbours depend on each other (stats/blocks.h): above the target
// with confidence the rate passes, below it fails, in between, or where the probe is too short for the dependence that it
// shows, it is probed again and the outcomes are joined. Rates are first doubled (or halved) until the answer changes, then
// bisected on a logarithmic scale. The share is taken to fall as the load grows.
//
// What a probe does not show, nobody can allow for: stalls that are so rare that none fell into it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "stats/blocks.h"

namespace moecap::load {

// The offered requests by the time they were meant to be sent, including what failed, timed out or did not finish. `met`: it
// met every objective; `strain`: the largest of its latencies as a share of their objectives, infinite without an answer.
using SloOutcomes = std::vector<stats::TimedOutcome>;

struct SloSearchOptions {
  double start = 1;            // > 0
  double lowest = 1e-3;        // not searched below ...
  double highest = 1e6;        // ... nor above
  bool whole_numbers = false;  // a concurrency
  double target_share = 0.99;  // of the offered requests, 0 < share < 1
  double confidence = 0.95;    // of each verdict, two-sided
  double resolution = 0.05;    // the bracket's width relative to its lower end at which the search ends, > 0
  int repeats = 3;             // probes of one rate at most; one that stays undecided counts as failed
  int max_probes = 40;         // in all
};

enum class Verdict { kPass, kFail, kUndecided };

// The verdict on these outcomes alone. Undecided for fewer than stats::kBlocks x 2.
Verdict JudgeShare(std::span<const stats::TimedOutcome> outcomes, double target_share, double confidence);

struct SloProbe {
  double load = 0;
  int64_t offered = 0, met = 0;             // of all probes of this load
  std::optional<stats::ShareInTime> share;  // null: too few requests to say anything
  Verdict verdict = Verdict::kUndecided;
};

struct SloSearchResult {
  std::optional<double> passes;    // the highest load that passed; null when even `lowest` failed
  std::optional<double> fails;     // the lowest load that failed above it; null when `highest` passed
  bool fail_is_undecided = false;  // `fails` never failed with confidence; it just did not pass
  std::vector<SloProbe> probes;    // one a load, in the order of the first probe
  std::string verdict;             // one sentence
};

// Runs probes until the bracket is narrow enough. Errors: kBadInput for options out of range; whatever `probe` returns.
Result<SloSearchResult> SearchHighestLoad(const SloSearchOptions& options,
                                          const std::function<Result<SloOutcomes>(double load)>& probe);

}  // namespace moecap::load
