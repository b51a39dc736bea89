#include "load/slo_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace moecap::load {
namespace {

using testing::HasSubstr;

// `met` of `offered`, the failures evenly spread.
SloOutcomes Even(int offered, int met) {
  SloOutcomes outcomes;
  for (int i = 0; i < offered; ++i) {
    const bool failed = i * (offered - met) / offered != (i + 1) * (offered - met) / offered;
    outcomes.push_back({!failed, 1});
  }
  return outcomes;
}

// Meets every objective up to `capacity` and none above.
auto Step(double capacity, int* probes = nullptr) {
  return [=](double load) -> Result<SloOutcomes> {
    if (probes != nullptr) ++*probes;
    return Even(1000, load <= capacity ? 1000 : 0);
  };
}

TEST(SloSearch, BracketsTheCapacity) {
  for (const double capacity : {0.013, 0.7, 1.0, 37.2, 9000.0}) {
    const auto found = SearchHighestLoad({}, Step(capacity));
    ASSERT_TRUE(found.ok());
    EXPECT_LE(*found->passes, capacity);
    EXPECT_GT(*found->fails, capacity);
    EXPECT_LE(*found->fails, *found->passes * 1.05);
    EXPECT_FALSE(found->fail_is_undecided);
  }
}

TEST(SloSearch, FindsAConcurrencyExactly) {
  for (const double capacity : {1, 2, 3, 7, 64, 100}) {
    const auto found =
        SearchHighestLoad({.lowest = 1, .highest = 4096, .whole_numbers = true, .resolution = 0.001}, Step(capacity));
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found->passes, capacity);
    EXPECT_EQ(*found->fails, capacity + 1);
  }
}

TEST(SloSearch, TellsWhenTheAnswerLiesOutside) {
  const auto below = SearchHighestLoad({.start = 4, .lowest = 1}, Step(0.5));
  EXPECT_EQ(below->passes, std::nullopt);
  EXPECT_EQ(below->fails, 1);
  EXPECT_THAT(below->verdict, HasSubstr("at no load down to 1"));
  const auto above = SearchHighestLoad({.highest = 6}, Step(100));
  EXPECT_EQ(above->passes, 6);
  EXPECT_EQ(above->fails, std::nullopt);
}

TEST(SloSearch, KeepsToItsBudget) {
  int probes = 0;
  const auto found = SearchHighestLoad({.resolution = 1e-9, .max_probes = 12}, Step(300.3, &probes));
  EXPECT_EQ(probes, 12);
  EXPECT_LE(*found->passes, 300.3);
  EXPECT_GT(*found->fails, 300.3);
}

// The share falls smoothly through the target; every probe is a random sample. The found load must lie near the true one, and
// below it.
TEST(SloSearch, StandsNoise) {
  Rng rng(42);
  const auto share = [](double load) { return 1 / (1 + std::exp(20 * (load / 50 - 1))); };
  const double truth = 50 * (1 + std::log(1 / 0.9 - 1) / 20);  // where the share is 90 %
  int above = 0;
  constexpr int kRounds = 30;
  for (int round = 0; round < kRounds; ++round) {
    const auto found = SearchHighestLoad({.target_share = 0.9}, [&](double load) -> Result<SloOutcomes> {
      SloOutcomes outcomes;
      for (int i = 0; i < 400; ++i) {
        const double strain = rng.Uniform();
        outcomes.push_back({strain < share(load), strain / share(load)});
      }
      return outcomes;
    });
    ASSERT_TRUE(found.ok() && found->passes);
    EXPECT_NEAR(*found->passes, truth, 0.15 * truth);
    above += *found->passes > truth ? 1 : 0;
  }
  EXPECT_LE(above, kRounds / 5);
}

// A queue: requests wait for each other, so one slow minute makes a hundred of them late. 90 % of the requests wait less than
// the objective at a load of 0.5; at 0.6 one in seven does not.
TEST(SloSearch, PassesNoLoadThatFailsInBursts) {
  Rng rng(7);
  const double objective = std::log(10.0) / (1 - 0.5);
  int passed = 0;
  constexpr int kRounds = 100;
  for (int round = 0; round < kRounds; ++round) {
    SloOutcomes outcomes;
    double wait = 0;
    for (int i = 0; i < 2200; ++i) {
      const double time = wait - std::log(1 - rng.Uniform());
      wait = std::max(0.0, time + std::log(1 - rng.Uniform()) / 0.6);
      if (i >= 200) outcomes.push_back({time <= objective, time / objective});
    }
    passed += JudgeShare(outcomes, 0.9, 0.95) == Verdict::kPass ? 1 : 0;
  }
  EXPECT_LE(passed, 3);
}

TEST(SloSearch, CountsTheUndecidedAsFailedAndSaysSo) {
  const auto found = SearchHighestLoad({.start = 2, .highest = 2},
                                       [](double load) -> Result<SloOutcomes> { return Even(100, load < 2 ? 100 : 99); });
  EXPECT_EQ(found->passes, std::nullopt);  // 100 of 100 is no proof of 99 %
  EXPECT_TRUE(found->fail_is_undecided);
}

TEST(SloSearch, JudgesWithConfidence) {
  // All of n pass 99 % from 0.025^(1/n) >= 0.99 on: 368, and (2.571 / 1.960)^2 times as many with 6 blocks.
  EXPECT_EQ(JudgeShare(Even(630, 630), 0.99, 0.95), Verdict::kUndecided);
  EXPECT_EQ(JudgeShare(Even(640, 640), 0.99, 0.95), Verdict::kPass);
  EXPECT_EQ(JudgeShare(Even(200, 180), 0.99, 0.95), Verdict::kFail);
  EXPECT_EQ(JudgeShare({}, 0.99, 0.95), Verdict::kUndecided);
  EXPECT_EQ(JudgeShare(Even(11, 0), 0.99, 0.95), Verdict::kUndecided);
}

TEST(SloSearch, RefusesBadOptionsAndPassesErrorsOn) {
  EXPECT_THAT(SearchHighestLoad({.start = 0}, Step(1)).error().message, HasSubstr("lowest"));
  EXPECT_THAT(SearchHighestLoad({.target_share = 1}, Step(1)).error().message, HasSubstr("between 0 and 1"));
  EXPECT_THAT(SearchHighestLoad({.resolution = 0}, Step(1)).error().message, HasSubstr("resolution"));
  const auto down = SearchHighestLoad({}, [](double) -> Result<SloOutcomes> { return Failed("the server is gone"); });
  EXPECT_EQ(down.error().message, "the server is gone");
}

}  // namespace
}  // namespace moecap::load
