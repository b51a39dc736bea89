// Ratios of a positive figure (time, rate, cost) of two systems that was measured once per repetition, with t intervals on the
// log scale: the mean of the logarithms of the ratios is the logarithm of their geometric mean.
//
// Student's t holds its confidence for normal noise and is slightly conservative for heavy tails that hit both systems alike;
// simulated coverage is in docs/cap.md. What is estimated is the geometric mean ratio, not the ratio of arithmetic means.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/interval.h"

namespace moecap::stats {

// The t quantile of a two-sided interval: P(|T| <= t) = confidence. Requires degrees > 0 (need not be whole), 0 < confidence
// < 1.
double TwoSidedT(double degrees, double confidence);

struct RatioEstimate {
  int64_t n = 0;             // repetitions: of both (paired), or of the system with fewer (unpaired)
  double ratio = 1;          // geometric mean of first / second
  Interval interval;         // of the ratio
  double p_value = 1;        // two-sided, of a ratio of 1
  double log_std_error = 0;  // of log(ratio), > 0
  double degrees = 1;        // of freedom; whole when paired, Welch-Satterthwaite's otherwise
  Interval range;            // least and largest ratio of the sample; unpaired: min / max and max / min
};

// Repetition i of both systems was measured together (one experiment): t on the logs of first[i] / second[i]. Requires equally
// many values, all positive and finite. Null for fewer than two.
std::optional<RatioEstimate> PairedRatio(std::span<const double> first, std::span<const double> second, double confidence);

// Repetitions of different experiments, of unequal spread: Welch's t on the logs. Requires positive finite values. Null when
// either has fewer than two.
std::optional<RatioEstimate> UnpairedRatio(std::span<const double> first, std::span<const double> second, double confidence);

// How many repetitions (of each system) would make the half width of the interval at most `half_width` (of the log ratio, > 0),
// if the spread stays what it was: iterates t. Null: more than 100,000.
std::optional<int64_t> RepetitionsNeeded(const RatioEstimate& estimate, double half_width, double confidence);

}  // namespace moecap::stats
