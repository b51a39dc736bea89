#include "stats/blocks.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "stats/ratios.h"
#include "stats/shares.h"
#include "stats/summary.h"

namespace moecap::stats {
namespace {

constexpr double kRaise = 1.25;
constexpr double kCalm = 0.2;   // of the limit
constexpr double kStep = 0.01;  // of the limit: smaller differences tell nothing

// Of an indicator: n / kBlocks a block; what is left over at the end counts to no block.
double DesignEffect(const std::vector<bool>& indicator) {
  const auto length = static_cast<int64_t>(indicator.size()) / kBlocks;
  std::vector<double> means(kBlocks, 0.0);
  for (int64_t i = 0; i < length * kBlocks; ++i) {
    if (indicator[static_cast<size_t>(i)]) means[static_cast<size_t>(i / length)] += 1.0 / static_cast<double>(length);
  }
  const auto all = Describe(means);
  const double independent = all->mean * (1 - all->mean) / static_cast<double>(length);
  return independent > 0 ? all->stddev * all->stddev / independent : 1;
}

double LargestEffect(std::span<const TimedOutcome> outcomes) {
  std::vector<bool> indicator;
  for (const TimedOutcome& outcome : outcomes) indicator.push_back(outcome.met);
  double effect = std::max(1.0, DesignEffect(indicator));
  std::vector<double> sorted;
  for (const TimedOutcome& outcome : outcomes) sorted.push_back(outcome.strain);
  std::ranges::sort(sorted);
  for (const double q : {0.5, 0.75, 0.9}) {
    // An order statistic, not an interpolated quantile: strains may be infinite.
    const double threshold = kStep + std::max(kCalm, sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))]);
    for (size_t i = 0; i < outcomes.size(); ++i) indicator[i] = outcomes[i].strain > threshold;
    effect = std::max(effect, DesignEffect(indicator));
  }
  return 1 + kRaise * (effect - 1);
}

}  // namespace

std::optional<ShareInTime> EstimateShareInTime(std::span<const TimedOutcome> outcomes, double confidence) {
  CHECK(confidence > 0 && confidence < 1);
  ShareInTime result;
  result.n = std::ssize(outcomes);
  if (result.n < 2 * kBlocks) return std::nullopt;
  result.met = std::ranges::count_if(outcomes, &TimedOutcome::met);
  const auto n = static_cast<double>(result.n);
  result.share = static_cast<double>(result.met) / n;
  result.design_effect = LargestEffect(outcomes);
  const double z = quantile(boost::math::normal(), (1 + confidence) / 2);
  const double t = TwoSidedT(kBlocks - 1, confidence);
  result.effective_n = n / result.design_effect * (z / t) * (z / t);
  result.long_enough = static_cast<double>(result.n / kBlocks) >= kBlockPerEffect * (result.design_effect - 1);
  result.interval = ClopperPearsonInterval(result.share * result.effective_n, result.effective_n, confidence);
  return result;
}

}  // namespace moecap::stats
