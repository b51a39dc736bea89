#include "stats/multiple.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::stats {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

TEST(Holm, StepsDownFromTheSmallest) {
  // By hand: 3 x 0.01, then 2 x 0.04 = 0.08, then max(0.08, 0.05).
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.05, 0.01, 0.04}), ElementsAre(DoubleEq(0.08), DoubleEq(0.03), DoubleEq(0.08)));
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.9, 0.8}), ElementsAre(1, 1));
  EXPECT_THAT(HolmAdjusted(std::vector<double>{0.02}), ElementsAre(DoubleEq(0.02)));
  EXPECT_TRUE(HolmAdjusted({}).empty());
}

}  // namespace
}  // namespace moecap::stats
