#include "load/slo_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace moecap::load {
namespace {

using testing::HasSubstr;

// Meets every objective up to `capacity` and none above.
auto Step(double capacity, int* probes = nullptr) {
  return [=](double load) -> Result<SloCounts> {
    if (probes != nullptr) ++*probes;
    return SloCounts{1000, load <= capacity ? 1000 : 0};
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

// The share falls smoothly through the target; every probe is a random sample. The found load must lie near the true one.
TEST(SloSearch, StandsNoise) {
  Rng rng(42);
  const auto share = [](double load) { return 1 / (1 + std::exp(20 * (load / 50 - 1))); };
  const double truth = 50 * (1 + std::log(1 / 0.9 - 1) / 20);  // where the share is 90 %
  for (int round = 0; round < 30; ++round) {
    const auto found = SearchHighestLoad({.target_share = 0.9}, [&](double load) -> Result<SloCounts> {
      SloCounts counts{400, 0};
      for (int i = 0; i < 400; ++i) counts.met += rng.Uniform() < share(load) ? 1 : 0;
      return counts;
    });
    ASSERT_TRUE(found.ok() && found->passes);
    EXPECT_NEAR(*found->passes, truth, 0.12 * truth);
  }
}

TEST(SloSearch, CountsTheUndecidedAsFailedAndSaysSo) {
  const auto found = SearchHighestLoad({.start = 2, .highest = 2}, [](double load) -> Result<SloCounts> {
    return SloCounts{100, load < 2 ? 100 : 99};
  });
  EXPECT_EQ(found->passes, std::nullopt);  // 100 of 100 is no proof of 99 %
  EXPECT_TRUE(found->fail_is_undecided);
}

TEST(SloSearch, JudgesByTheExactBinomialInterval) {
  // All of n: the lower bound is (tail)^(1/n).
  EXPECT_NEAR(BinomialInterval(10, 10, 0.95).low, std::pow(0.025, 0.1), 1e-12);
  EXPECT_EQ(BinomialInterval(10, 10, 0.95).high, 1);
  EXPECT_NEAR(BinomialInterval(0, 10, 0.95).high, 1 - std::pow(0.025, 0.1), 1e-12);
  // Published example: 7 of 20 at 95 % is 0.1539 to 0.5922 (Clopper and Pearson).
  EXPECT_NEAR(BinomialInterval(7, 20, 0.95).low, 0.1539, 5e-5);
  EXPECT_NEAR(BinomialInterval(7, 20, 0.95).high, 0.5922, 5e-5);
  EXPECT_EQ(JudgeShare({367, 367}, 0.99, 0.95), Verdict::kUndecided);
  EXPECT_EQ(JudgeShare({368, 368}, 0.99, 0.95), Verdict::kPass);
  EXPECT_EQ(JudgeShare({100, 90}, 0.99, 0.95), Verdict::kFail);
  EXPECT_EQ(JudgeShare({0, 0}, 0.99, 0.95), Verdict::kUndecided);
}

TEST(SloSearch, RefusesBadOptionsAndPassesErrorsOn) {
  EXPECT_THAT(SearchHighestLoad({.start = 0}, Step(1)).error().message, HasSubstr("lowest"));
  EXPECT_THAT(SearchHighestLoad({.target_share = 1}, Step(1)).error().message, HasSubstr("between 0 and 1"));
  EXPECT_THAT(SearchHighestLoad({.resolution = 0}, Step(1)).error().message, HasSubstr("resolution"));
  const auto down = SearchHighestLoad({}, [](double) -> Result<SloCounts> { return Failed("the server is gone"); });
  EXPECT_EQ(down.error().message, "the server is gone");
}

}  // namespace
}  // namespace moecap::load
