// A two-sided interval. In this module: a confidence interval unless a header says otherwise.
#pragma once

namespace moecap::stats {

struct Interval {
  double low = 0;
  double high = 0;
};

}  // namespace moecap::stats
