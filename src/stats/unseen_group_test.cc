#include "stats/unseen_group.h"

#include <gtest/gtest.h>

#include <random>

namespace moecap::stats {
namespace {

// Nine groups of one value: each weighs a tenth, a tenth lies beyond either end, so that all nine lie inside.
TEST(UnseenGroupInterval, ByHand) {
  std::vector<std::vector<double>> groups;
  for (int i = 1; i <= 9; ++i) groups.push_back({static_cast<double>(i)});
  const auto all = UnseenGroupInterval(groups, 0.1);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->low, 1);
  EXPECT_EQ(all->high, 9);
  // A fifth on either side: the tenth beyond and one value.
  EXPECT_EQ(UnseenGroupInterval(groups, 0.2)->low, 2);
  EXPECT_EQ(UnseenGroupInterval(groups, 0.2)->high, 8);
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
  EXPECT_EQ(many->low, few->low);
  EXPECT_EQ(many->high, few->high);
}

// The share of values of a new group inside, counted: groups differ more than their values do. Pooled quantiles of 12 groups
// hold less than 80 % of a thirteenth on average; these hold 80 % or a little more.
TEST(UnseenGroupInterval, HoldsItsShareOfANewGroup) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> centre(0, 1), spread(0, 0.3);
  const auto group = [&] {
    const double at = centre(random);
    std::vector<double> values;
    for (int i = 0; i < 20; ++i) values.push_back(at + spread(random));
    return values;
  };
  int held = 0, all = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<std::vector<double>> groups;
    for (int i = 0; i < 12; ++i) groups.push_back(group());
    const auto interval = UnseenGroupInterval(groups, 0.1);
    ASSERT_TRUE(interval);
    for (const double value : group()) {
      held += interval->low <= value && value <= interval->high;
      ++all;
    }
  }
  EXPECT_GE(held / static_cast<double>(all), 0.79);
  EXPECT_LE(held / static_cast<double>(all), 0.90);
}

}  // namespace
}  // namespace moecap::stats
