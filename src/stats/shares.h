// Intervals for a share, k of n independent trials. None of them is ever "+- 0", not even for 0 of n or n of n.
#pragma once

#include "stats/interval.h"

namespace moecap::stats {

// Wilson's score interval (1927): covers about `confidence` on average. For showing. Requires 0 <= k <= n, n > 0.
Interval WilsonInterval(double k, double n, double confidence);

// Clopper and Pearson (1934): covers at least `confidence`, whatever the true share. For guarantees. Requires the same. Counts
// need not be whole: effective sample sizes are not.
Interval ClopperPearsonInterval(double k, double n, double confidence);

}  // namespace moecap::stats
