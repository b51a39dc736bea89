#include "report/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace moecap::report {
namespace {

using testing::ElementsAre;

TEST(Format, NullAndWhatIsNotFiniteIsEmpty) {
  for (const auto& value : {std::optional<double>(), std::optional(std::numeric_limits<double>::quiet_NaN()),
                            std::optional(std::numeric_limits<double>::infinity())}) {
    EXPECT_EQ(NumberText(value), "");
    EXPECT_EQ(SecondsText(value), "");
    EXPECT_EQ(BytesText(value), "");
    EXPECT_EQ(RateText(value, "B/s"), "");
    EXPECT_EQ(MoneyText(value), "");
    EXPECT_EQ(ShareText(value), "");
    EXPECT_EQ(TimesText(value), "");
    EXPECT_EQ(PointsText(value), "");
    EXPECT_EQ(IntervalText(value, 1), "");
    EXPECT_EQ(IntervalText(1, value), "");
  }
  EXPECT_EQ(NumberText(0), "0");
}

TEST(Format, UnitsAndDigits) {
  EXPECT_EQ(NumberText(0.012345, kMilli), "12.3");
  EXPECT_EQ(SecondsText(0.0123), "12.3 ms");
  EXPECT_EQ(RateText(2.56e10, "B/s"), "25.6 GB/s");
  EXPECT_EQ(MoneyText(1.234), "USD 1.23");
  EXPECT_EQ(ShareText(0.423), "42.3 %");
  EXPECT_EQ(TimesText(1.034), "1.03×");
  EXPECT_EQ(PointsText(0.03), "+3.0 points");
  EXPECT_EQ(PointsText(-0.03), "-3.0 points");
}

TEST(Format, IntervalsHaveTheSameDecimals) {
  EXPECT_EQ(IntervalText(0.99, 1.07), "0.99 to 1.07");
  EXPECT_EQ(IntervalText(0.0119, 0.0128, kMilli), "11.9 to 12.8");
  EXPECT_EQ(WithInterval("12.3", IntervalText(11.9, 12.8)), "12.3 (11.9 to 12.8)");
  EXPECT_EQ(WithInterval("12.3", IntervalText({}, 12.8)), "12.3");
  EXPECT_EQ(WithInterval("", "1 to 2"), "");
}

TEST(Format, ColumnsLineUp) {
  EXPECT_THAT(AlignedNumbers(std::vector<std::optional<double>>{3.14159, std::nullopt, 271.828}),
              ElementsAre("3.1", "", "271.8"));
  EXPECT_THAT(AlignedNumbers(std::vector<std::optional<double>>{0.0812, 0.24}, kMilli), ElementsAre("81", "240"));
}

TEST(Format, PercentilesThatTheSampleDoesNotSupport) {
  EXPECT_EQ(PercentileText({.q = 0.99, .value = 0.1, .supported = true}, kMilli), "100");
  EXPECT_EQ(PercentileText({.q = 0.99, .value = 0.1, .supported = false, .samples_needed = 662}, kMilli), "n/a (662)");
  EXPECT_EQ(QuantileName(0.999), "p99.9");
}

TEST(Format, Words) {
  EXPECT_EQ(JoinWords({}), "");
  EXPECT_EQ(JoinWords({"a"}), "a");
  EXPECT_EQ(JoinWords({"a", "b"}), "a and b");
  EXPECT_EQ(JoinWords({"a", "b", "c"}), "a, b and c");
  EXPECT_EQ(CountText(1, "system", "systems"), "1 system");
  EXPECT_EQ(CountText(3, "system", "systems"), "3 systems");
  EXPECT_EQ(Sentence("it is faster"), "It is faster.");
  EXPECT_EQ(Sentence("Is it?"), "Is it?");
  EXPECT_EQ(Sentence(""), "");
}

}  // namespace
}  // namespace moecap::report
