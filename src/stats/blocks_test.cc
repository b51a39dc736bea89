#include "stats/blocks.h"

#include <gtest/gtest.h>

#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "stats/random_for_test.h"
#include "stats/shares.h"

namespace moecap::stats {
namespace {

TEST(ShareInTime, IsTheExactIntervalOfFewerOutcomesWhenIndependent) {
  Rng rng(3);
  std::vector<TimedOutcome> outcomes;
  for (int i = 0; i < 5000; ++i) {
    const double strain = rng.Uniform();
    outcomes.push_back({strain < 0.97, strain / 0.97});
  }
  const auto found = EstimateShareInTime(outcomes, 0.95);
  ASSERT_TRUE(found && found->long_enough);
  EXPECT_LT(found->design_effect, 4);
  const Interval exact = ClopperPearsonInterval(static_cast<double>(found->met), 5000, 0.95);
  EXPECT_LE(found->interval.low, exact.low);
  EXPECT_GE(found->interval.high, exact.high);
}

TEST(ShareInTime, SeesRunsOfFailures) {
  // 4 % fail, in runs of 50: as if there were about n / 50 outcomes.
  std::vector<TimedOutcome> outcomes(20000, {true, 1});
  Rng rng(8);
  for (int burst = 0; burst < 16; ++burst) {
    const size_t start = rng.Below(19950);
    for (size_t i = start; i < start + 50; ++i) outcomes[i] = {false, std::numeric_limits<double>::infinity()};
  }
  const auto found = EstimateShareInTime(outcomes, 0.95);
  EXPECT_GT(found->design_effect, 15);
  EXPECT_LT(found->effective_n, 1400);
}

TEST(ShareInTime, SeesDependenceWhereAllSucceed) {
  // The latency drifts slowly, below the limit but near it.
  std::vector<TimedOutcome> outcomes;
  for (int i = 0; i < 2000; ++i) outcomes.push_back({true, 0.6 + 0.3 * std::sin(i / 150.0)});
  const auto found = EstimateShareInTime(outcomes, 0.95);
  EXPECT_GT(found->design_effect, 30);
  EXPECT_FALSE(found->long_enough);
  EXPECT_LT(found->interval.low, 0.97);
}

TEST(ShareInTime, IgnoresWhatHappensFarBelowTheLimit) {
  std::vector<TimedOutcome> outcomes;
  for (int i = 0; i < 2000; ++i) outcomes.push_back({true, 0.1 + 0.05 * std::sin(i / 150.0)});
  const auto found = EstimateShareInTime(outcomes, 0.95);
  EXPECT_EQ(found->design_effect, 1);
  EXPECT_TRUE(found->long_enough);
  EXPECT_GT(found->interval.low, 0.99);
}

TEST(ShareInTime, IgnoresRounding) {
  std::vector<TimedOutcome> outcomes;
  for (int i = 0; i < 2000; ++i) outcomes.push_back({true, 0.7 + 1e-9 * i});
  EXPECT_EQ(EstimateShareInTime(outcomes, 0.95)->design_effect, 1);
}

TEST(ShareInTime, NeedsBlocks) {
  EXPECT_FALSE(EstimateShareInTime(std::vector<TimedOutcome>(11), 0.95));
  const auto none = EstimateShareInTime(std::vector<TimedOutcome>(100), 0.95);
  EXPECT_EQ(none->met, 0);
  EXPECT_EQ(none->interval.low, 0);
  EXPECT_LT(none->interval.high, 0.1);
}

// A process whose strain exceeds its limit in exactly `fails` of the time.
using Process = std::function<std::vector<TimedOutcome>(Rng&, int n, double fails)>;

Process Autoregressive(double phi) {
  return [phi](Rng& rng, int n, double fails) {
    const double limit = quantile(boost::math::normal(), 1 - fails);
    std::vector<TimedOutcome> outcomes;
    double x = Normal(rng);
    for (int i = 0; i < n; ++i) {
      x = phi * x + std::sqrt(1 - phi * phi) * Normal(rng);
      outcomes.push_back({x <= limit, std::exp(x - limit)});
    }
    return outcomes;
  };
}

// The time in a queue with Poisson arrivals and exponential service is exponential with mean 1 / (1 - load).
Process Queue(double load) {
  return [load](Rng& rng, int n, double fails) {
    const double limit = -std::log(fails) / (1 - load);
    double wait = rng.Uniform() < load ? Exponential(rng) / (1 - load) : 0;
    std::vector<TimedOutcome> outcomes;
    for (int i = 0; i < n; ++i) {
      const double time = wait + Exponential(rng);
      outcomes.push_back({time <= limit, time / limit});
      wait = std::max(0.0, time - Exponential(rng) / load);
    }
    return outcomes;
  };
}

struct Passes {
  double blocks = 0, exact = 0;
};

// The share of tests in which a load that meets the objective in `share` is called one that meets it in `target`.
Passes PassShare(const Process& process, double share, double target, int n, int runs) {
  Rng rng(static_cast<uint64_t>(n) + 11);
  Passes passes;
  for (int run = 0; run < runs; ++run) {
    const auto found = EstimateShareInTime(process(rng, n, 1 - share), 0.95);
    passes.blocks += found->long_enough && found->interval.low >= target ? 1.0 / runs : 0;
    const Interval exact = ClopperPearsonInterval(static_cast<double>(found->met), n, 0.95);
    passes.exact += exact.low >= target ? 1.0 / runs : 0;
  }
  return passes;
}

TEST(ShareInTime, CallsAFailingLoadPassedAsRarelyAsPromised) {
  constexpr int kRuns = 500 / (kSimulationShare > 1 ? 5 : 1);
  struct Case {
    const char* name;
    Process process;
  };
  double exact = 0;
  const std::vector<Case> cases = {{"independent", Autoregressive(0)},
                                   {"AR(1) 0.5", Autoregressive(0.5)},
                                   {"AR(1) 0.9", Autoregressive(0.9)},
                                   {"queue at 50 %", Queue(0.5)},
                                   {"queue at 80 %", Queue(0.8)}};
  for (const Case& load : cases) {
    for (const auto& [target, n] : {std::pair{0.9, 200}, {0.9, 600}, {0.9, 2000}, {0.9, 6000}, {0.99, 2000}}) {
      // Just failing: the most that any such load may be passed.
      const Passes passes = PassShare(load.process, target - 1e-9, target, n, kRuns);
      std::printf("passed: %s, target %g, n %d: %.2f %% (as if independent: %.1f %%)\n", load.name, target, n,
                  100 * passes.blocks, 100 * passes.exact);
      EXPECT_LE(passes.blocks, 0.025 + SimulationSlack(0.025, kRuns)) << load.name << ", " << target << ", " << n;
      exact = std::max(exact, passes.exact);
    }
  }
  EXPECT_GT(exact, 0.3) << "the processes do not depend on time enough to show anything";
}

TEST(ShareInTime, PassesGoodLoads) {
  constexpr int kRuns = 200 / (kSimulationShare > 1 ? 4 : 1);
  EXPECT_GT(PassShare(Autoregressive(0), 0.999, 0.99, 2000, kRuns).blocks, 0.7);
  EXPECT_GT(PassShare(Autoregressive(0.5), 0.97, 0.9, 1000, kRuns).blocks, 0.8);
  EXPECT_GT(PassShare(Queue(0.5), 0.97, 0.9, 6000, kRuns).blocks, 0.8);
}

}  // namespace
}  // namespace moecap::stats
