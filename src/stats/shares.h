// Intervals for a share, k of n independent trials. None of them is ever "+- 0", not even for 0 of n or n of n.
#pragma once

#include <cstdint>
#include <optional>

#include "stats/interval.h"

namespace moecap::stats {

// Wilson's score interval (1927): covers about `confidence` on average. For showing. Requires 0 <= k <= n, n > 0.
Interval WilsonInterval(double k, double n, double confidence);

// Wilson's interval for a mean of `items` scores in 0..1 of known standard error, which may be partly right: of as many trials
// as would have that error (the effective sample size, Kish 1965), where one more item that varies as much as right and wrong
// can is counted with the others, so that equal scores do not make it +- 0. Of scores that are 0 or 1 it is WilsonInterval.
// Null standard error: as if right or wrong. Requires 0 <= mean <= 1, items > 0.
Interval WilsonIntervalOfMean(double mean, std::optional<double> std_error, int64_t items, double confidence);

// Clopper and Pearson (1934): covers at least `confidence`, whatever the true share. For guarantees. Requires the same. Counts
// need not be whole: effective sample sizes are not.
Interval ClopperPearsonInterval(double k, double n, double confidence);

}  // namespace moecap::stats
