// The share of successes in a sequence of outcomes that depend on each other in time: the requests of one load test, where a
// queue, a batch or a stall makes neighbours fail together. Counted as if independent, such outcomes call a failing load
// "passed" in up to 90 % of tests.
//
// Batch means (Schmeiser 1982): the sequence is cut into kBlocks blocks of n / kBlocks outcomes. The design effect is the
// variance of the block means over what independence would give. It is estimated for the outcomes, and for "strain above its
// own median, upper quartile, upper decile, or a fifth of the limit where that is more", so that dependence shows even where
// every request succeeded, and a drift far below the limit counts for nothing. The largest counts, at least 1; what it is above
// 1 is raised by a quarter, since it comes out low where the share looks best. The interval is Korn and Graubard's (1998):
// Clopper and Pearson's at the effective sample size n / effect x (z / t)^2, t with kBlocks - 1 degrees of freedom. Simulated,
// a load that just fails is passed in at most 2.0 % (nominal 2.5 %; queues and AR(1), docs/load.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/interval.h"

namespace moecap::stats {

inline constexpr int64_t kBlocks = 6;
// Blocks must be longer than the dependence reaches: at least this many times the design effect above 1. Otherwise the effect
// is underestimated, by most where the share looks best.
inline constexpr double kBlockPerEffect = 30;

struct TimedOutcome {
  bool met = false;
  // How near it came to the limit: its latency as a share of the objective, above 1 where it failed, infinite without an
  // answer. All 0: dependence is seen in `met` alone, and none where all are met.
  double strain = 0;
};

struct ShareInTime {
  int64_t n = 0, met = 0;
  double share = 0;
  double design_effect = 1;  // >= 1
  double effective_n = 0;    // independent outcomes that would tell as much, <= n
  bool long_enough = false;  // kBlockPerEffect is kept; without it nobody should rely on the lower bound
  Interval interval;
};

// `outcomes` in time order; several tests of one load may follow each other. Null for fewer than 2 x kBlocks outcomes.
std::optional<ShareInTime> EstimateShareInTime(std::span<const TimedOutcome> outcomes, double confidence);

}  // namespace moecap::stats
