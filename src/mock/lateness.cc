#include "mock/lateness.h"

#include <algorithm>
#include <cmath>

namespace moecap::mock {

void LatenessHistogram::Add(int64_t late_ns) {
  const double octaves = std::log2(static_cast<double>(std::max<int64_t>(late_ns, 64)) / 64);
  ++counts_[std::min(static_cast<size_t>(octaves * 16), kSteps - 1)];
  ++total_;
  max_ns_ = std::max(max_ns_, late_ns);
}

void LatenessHistogram::AddTo(LatenessHistogram& sum) const {
  for (size_t i = 0; i < kSteps; ++i) sum.counts_[i] += counts_[i];
  sum.total_ += total_;
  sum.max_ns_ = std::max(sum.max_ns_, max_ns_);
}

Lateness LatenessHistogram::Summarize() const {
  Lateness lateness;
  lateness.tokens = total_;
  lateness.max_us = static_cast<double>(max_ns_) / 1e3;
  const auto quantile = [this](double q) {
    int64_t below = 0;
    for (size_t i = 0; i < kSteps; ++i) {
      below += counts_[i];
      if (static_cast<double>(below) >= q * static_cast<double>(total_))
        return 0.064 * std::exp2(static_cast<double>(i + 1) / 16);
    }
    return 0.0;
  };
  if (total_ == 0) return lateness;
  lateness.p50_us = std::min(quantile(0.5), lateness.max_us);
  lateness.p99_us = std::min(quantile(0.99), lateness.max_us);
  return lateness;
}

}  // namespace moecap::mock
