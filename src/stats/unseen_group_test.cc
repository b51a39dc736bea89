#include "stats/unseen_group.h"

#include <gtest/gtest.h>

#include <random>

namespace moecap::stats {
namespace {

// Nine groups of one value: each weighs a tenth, half of a tenth lies beyond either end, and half of the first value before
// itself.
TEST(UnseenGroupInterval, ByHand) {
  std::vector<std::vector<double>> groups;
  for (int i = 1; i <= 9; ++i) groups.push_back({static_cast<double>(i)});
  const auto all = UnseenGroupInterval(groups, 0.1);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->low, 1);
  EXPECT_EQ(all->high, 9);
  // A fifth on either side: one value more.
  EXPECT_EQ(UnseenGroupInterval(groups, 0.2)->low, 2);
  EXPECT_EQ(UnseenGroupInterval(groups, 0.2)->high, 8);
  // 0.15: half of the way to the next.
  EXPECT_DOUBLE_EQ(UnseenGroupInterval(groups, 0.15)->low, 1.5);
  EXPECT_DOUBLE_EQ(UnseenGroupInterval(groups, 0.15)->high, 8.5);
  // 1/9 beyond is more than a tenth: eight groups say nothing.
  groups.pop_back();
  EXPECT_FALSE(UnseenGroupInterval(groups, 0.1));
}

// A group counts once, however many values it has: 19 groups at 1 to 19 weigh 0.05 each; a hundred values at 1 change nothing.
TEST(UnseenGroupInterval, ManyValuesOfOneGroupAreOneGroup) {
  std::vector<std::vector<double>> groups;
  for (int i = 1; i <= 19; ++i) groups.push_back({static_cast<double>(i)});
  const auto few = UnseenGroupInterval(groups, 0.1);
  groups[0].assign(100, 1);
  const auto many = UnseenGroupInterval(groups, 0.1);
  EXPECT_EQ(few->low, 2);
  EXPECT_EQ(few->high, 18);
  EXPECT_NEAR(many->low, few->low, 1e-9);
  EXPECT_NEAR(many->high, few->high, 1e-9);
}

// The share of values of a new group inside, counted: groups of one value, of values that are more alike than groups are, and
// of values that differ as much. Pooled quantiles of 12 groups hold less than 80 % of a thirteenth.
TEST(UnseenGroupInterval, HoldsItsShareOfANewGroup) {
  struct Case {
    int groups, values;
    double spread, most;
  };
  for (const Case& each : {Case{15, 1, 0, 0.82}, Case{12, 20, 0.3, 0.85}, Case{80, 16, 0.5, 0.82}}) {
    std::mt19937_64 random(11);
    std::normal_distribution<double> centre(0, 1), spread(0, each.spread + 1e-9);
    const auto group = [&] {
      const double at = centre(random);
      std::vector<double> values;
      for (int i = 0; i < each.values; ++i) values.push_back(at + spread(random));
      return values;
    };
    int held = 0, all = 0;
    for (int trial = 0; trial < 4000; ++trial) {
      std::vector<std::vector<double>> groups;
      for (int i = 0; i < each.groups; ++i) groups.push_back(group());
      const auto interval = UnseenGroupInterval(groups, 0.1);
      ASSERT_TRUE(interval);
      for (const double value : group()) {
        held += interval->low <= value && value <= interval->high;
        ++all;
      }
    }
    EXPECT_GE(held / static_cast<double>(all), 0.78) << each.groups;
    EXPECT_LE(held / static_cast<double>(all), each.most) << each.groups;
  }
}

}  // namespace
}  // namespace moecap::stats
