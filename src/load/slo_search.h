// The highest load that meets service-level objectives, found with few runs although every run is noisy.
//
// A probe at one rate (or concurrency) offers requests and counts those that met all objectives. The share is compared with the
// target by an exact binomial interval (Clopper and Pearson 1934): above the target with confidence the rate passes, below it
// fails, in between it is probed again and the counts are added. Rates are first doubled (or halved) until the answer changes,
// then bisected on a logarithmic scale. The share is taken to fall as the load grows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::load {

struct SloCounts {
  int64_t offered = 0;  // includes what failed, timed out or did not finish
  int64_t met = 0;      // met every objective
};

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

// The verdict on `counts` alone. Undecided without any request.
Verdict JudgeShare(const SloCounts& counts, double target_share, double confidence);

// Bounds of a share, `met` of `offered`, at `confidence` (Clopper-Pearson). Requires 0 <= met <= offered, offered > 0.
struct ShareInterval {
  double low = 0, high = 1;
};
ShareInterval BinomialInterval(int64_t met, int64_t offered, double confidence);

struct SloProbe {
  double load = 0;
  SloCounts counts;  // of all probes of this rate so far
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
                                          const std::function<Result<SloCounts>(double load)>& probe);

}  // namespace moecap::load
