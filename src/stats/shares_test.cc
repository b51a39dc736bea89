#include "stats/shares.h"

#include <gtest/gtest.h>

#include <cmath>

namespace moecap::stats {
namespace {

TEST(ClopperPearson, IsExact) {
  // All of n: the lower bound is (tail)^(1/n).
  EXPECT_NEAR(ClopperPearsonInterval(10, 10, 0.95).low, std::pow(0.025, 0.1), 1e-12);
  EXPECT_EQ(ClopperPearsonInterval(10, 10, 0.95).high, 1);
  EXPECT_NEAR(ClopperPearsonInterval(0, 10, 0.95).high, 1 - std::pow(0.025, 0.1), 1e-12);
  // Published example: 7 of 20 at 95 % is 0.1539 to 0.5922.
  EXPECT_NEAR(ClopperPearsonInterval(7, 20, 0.95).low, 0.1539, 5e-5);
  EXPECT_NEAR(ClopperPearsonInterval(7, 20, 0.95).high, 0.5922, 5e-5);
}

TEST(Wilson, IsTheScoreInterval) {
  // Newcombe 1998, table 1: 81 of 263 is 0.2553 to 0.3662, 15 of 148 is 0.0624 to 0.1605, 0 of 20 is 0 to 0.1611, 1 of 29 is
  // 0.0061 to 0.1718.
  EXPECT_NEAR(WilsonInterval(81, 263, 0.95).low, 0.2553, 5e-5);
  EXPECT_NEAR(WilsonInterval(81, 263, 0.95).high, 0.3662, 5e-5);
  EXPECT_NEAR(WilsonInterval(15, 148, 0.95).low, 0.0624, 5e-5);
  EXPECT_NEAR(WilsonInterval(15, 148, 0.95).high, 0.1605, 5e-5);
  EXPECT_EQ(WilsonInterval(0, 20, 0.95).low, 0);
  EXPECT_NEAR(WilsonInterval(0, 20, 0.95).high, 0.1611, 5e-5);
  EXPECT_NEAR(WilsonInterval(1, 29, 0.95).high, 0.1718, 5e-5);
}

TEST(Wilson, OfAMeanTakesAsManyTrialsAsItsErrorSays) {
  // 3 of 12 right: the error of right and wrong is sqrt(p (1 - p) / (n - 1)).
  const Interval plain = WilsonInterval(3, 12, 0.95), same = WilsonIntervalOfMean(0.25, std::sqrt(0.1875 / 11), 12, 0.95);
  EXPECT_EQ(same.low, plain.low);
  EXPECT_EQ(same.high, plain.high);
  // Half the error of right and wrong: (12/4 + 1) / 13 of its square, so 39 trials.
  const Interval half = WilsonIntervalOfMean(0.25, std::sqrt(0.1875 / 11) / 2, 12, 0.95);
  EXPECT_NEAR(half.low, WilsonInterval(0.25 * 39, 39, 0.95).low, 1e-12);
  // Equal scores have no error, and 12 * 13 trials.
  EXPECT_NEAR(WilsonIntervalOfMean(0.5, 0.0, 12, 0.95).high, WilsonInterval(78, 156, 0.95).high, 1e-12);
  EXPECT_EQ(WilsonIntervalOfMean(0, 0.0, 12, 0.95).high, WilsonInterval(0, 12, 0.95).high);
  EXPECT_EQ(WilsonIntervalOfMean(1, std::nullopt, 1, 0.95).low, WilsonInterval(1, 1, 0.95).low);
}

TEST(Shares, AreNeverCertain) {
  for (const auto interval : {WilsonInterval, ClopperPearsonInterval}) {
    EXPECT_GT(interval(0, 128, 0.95).high, 0.02);
    EXPECT_LT(interval(128, 128, 0.95).low, 0.98);
    EXPECT_EQ(interval(128, 128, 0.95).high, 1);
  }
}

}  // namespace
}  // namespace moecap::stats
