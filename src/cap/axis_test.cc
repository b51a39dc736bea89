#include "cap/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "cap/robust_score.h"
#include "cap/summary.h"

namespace moecap::cap {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Axes, AreATableWithUniqueKeysInTheOrderOfTheirIds) {
  std::set<std::string_view> keys;
  size_t index = 0;
  for (const Axis& axis : Axes()) {
    EXPECT_EQ(static_cast<size_t>(axis.id), index++);
    EXPECT_TRUE(keys.insert(axis.key).second) << axis.key;
    EXPECT_EQ(*FindAxis(axis.key), axis.id);
    EXPECT_EQ(axis.log_scale, axis.decades > 0) << axis.key;
    EXPECT_EQ(axis.log_scale, !axis.unit.empty()) << axis.key;
  }
  EXPECT_EQ(index, kAxisCount);
}

TEST(Axes, AnUnknownKeyIsAnsweredWithTheNearest) {
  EXPECT_THAT(FindAxis("tpot").error().message, AllOf(HasSubstr("\"tpot\" is no axis"), HasSubstr("tpot_s")));
  EXPECT_THAT(FindAxis("power_kw", Dimension::kCost).error().message, HasSubstr("did you mean \"power_w\"?"));
  EXPECT_THAT(FindAxis("tpot_s", Dimension::kCost).error().message, HasSubstr("\"tpot_s\" is no cost axis"));
  EXPECT_THAT(FindScenario("onlin").error().message, HasSubstr("did you mean \"online\"?"));
}

TEST(Axes, ReadTheFiguresOfACell) {
  HostSummary host;
  host.power_w = 10;
  host.purchase_usd = 500;
  SystemSummary system;
  system.weight_bytes = 1000;
  CellSummary cell;
  cell.usd_per_million_output_tokens = 2;
  cell.usd_per_million_tokens_all_in = 1.5;
  cell.joules_per_output_token = 3;
  cell.accuracy = 0.5;
  cell.tpot_s = stats::Distribution{.mean = 0.01};
  cell.ttft_s = stats::Distribution{.mean = 0.1};
  cell.e2e_s = stats::Distribution{.mean = 1.1};
  cell.output_tokens_per_s = stats::Spread{.mean = 100};
  cell.requests_per_s = stats::Spread{.mean = 5};
  cell.goodput_requests_per_s = stats::Spread{.mean = 4};
  cell.utilization.decode.s_mbu = 0.3;
  cell.utilization.decode.s_mfu = 0.03;
  cell.kv_bytes_mean = 24;
  const auto value = [&](AxisId id) { return AxisOf(id).value(host, system, cell); };
  const double expected[] = {2, 1.5, 500, 10, 3, 0.5, 0.01, 0.1, 1.1, 100, 5, 4, 0.3, 0.03, 1024};
  for (size_t i = 0; i < kAxisCount; ++i) EXPECT_EQ(value(static_cast<AxisId>(i)), expected[i]) << Axes()[i].key;
  const CellSummary nothing;
  for (const Axis& axis : Axes()) EXPECT_FALSE(axis.value(HostSummary(), SystemSummary(), nothing).has_value()) << axis.key;
}

TEST(ResolveView, FillsTheBlanksFromTheScenario) {
  const CapView online = ResolveView({});
  EXPECT_EQ(online.scenario, "online");
  EXPECT_THAT(online.axes, ElementsAre(AxisId::kUsdPerMillionOutputTokens, AxisId::kAccuracy, AxisId::kTpot));
  CapChoice choice;
  choice.scenario = "single-user";
  EXPECT_EQ(ResolveView(choice).cost, AxisId::kPurchaseUsd);
  EXPECT_EQ(ResolveView(choice).rule, ConcurrencyRule::kLowest);
  choice.cost = AxisId::kPowerW;
  choice.more_axes = {AxisId::kSMbu, AxisId::kTpot, AxisId::kSMbu};
  EXPECT_THAT(ResolveView(choice).axes, ElementsAre(AxisId::kPowerW, AxisId::kAccuracy, AxisId::kTpot, AxisId::kSMbu));
}

double TpotScore(double value, double limit) {
  const AxisLimit anchor{AxisId::kTpot, limit, ""};
  return *RobustScore(AxisOf(AxisId::kTpot), value, &anchor);
}

double ThroughputScore(double value, double limit) {
  const AxisLimit anchor{AxisId::kOutputTokensPerS, limit, ""};
  return *RobustScore(AxisOf(AxisId::kOutputTokensPerS), value, &anchor);
}

TEST(RobustScore, HandCases) {
  EXPECT_DOUBLE_EQ(TpotScore(1e-3, 1e-3), 100);
  EXPECT_NEAR(TpotScore(1e-2, 1e-3), 80, 1e-9);  // one of five powers of ten
  EXPECT_NEAR(TpotScore(1e-3 * std::sqrt(10), 1e-3), 90, 1e-9);
  EXPECT_DOUBLE_EQ(TpotScore(1e-4, 1e-3), 100);  // past the limit
  EXPECT_DOUBLE_EQ(TpotScore(1e3, 1e-3), 0);
  EXPECT_NEAR(ThroughputScore(1e3, 1e6), 100 * (1 - 3 / AxisOf(AxisId::kOutputTokensPerS).decades), 1e-9);
  EXPECT_NEAR(*RobustScore(AxisOf(AxisId::kAccuracy), 0.911, nullptr), 91.1, 1e-9);
  EXPECT_DOUBLE_EQ(*RobustScore(AxisOf(AxisId::kSMbu), 1.2, nullptr), 100);
}

TEST(RobustScore, EveryFactorOfTenCostsTheSame) {
  for (double value = 1e-3; value < 10; value *= 3.7)
    EXPECT_NEAR(TpotScore(value, 1e-3) - TpotScore(value * 10, 1e-3), 20, 1e-9) << value;
}

TEST(RobustScore, IsMonotoneFiniteAndInRange) {
  double last = 101;
  for (const double value : {0.0, std::numeric_limits<double>::denorm_min(), 1e-300, 1e-9, 1e-3, 1.0, 1e9, 1e300,
                             std::numeric_limits<double>::max()}) {
    const double score = TpotScore(value, 1e-3);
    EXPECT_TRUE(std::isfinite(score) && score >= 0 && score <= 100) << value;
    EXPECT_LE(score, last) << value;
    EXPECT_EQ(score, TpotScore(value, 1e-3));
    last = score;
    const double rate = ThroughputScore(value, 1e3);
    EXPECT_TRUE(std::isfinite(rate) && rate >= 0 && rate <= 100) << value;
  }
  EXPECT_DOUBLE_EQ(TpotScore(0, 1e-3), 100);
  EXPECT_DOUBLE_EQ(ThroughputScore(0, 1e3), 0);
  EXPECT_TRUE(std::isfinite(TpotScore(std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min())));
}

TEST(RobustScore, UnknownStaysUnknown) {
  const Axis& tpot = AxisOf(AxisId::kTpot);
  EXPECT_FALSE(RobustScore(tpot, 0.1, nullptr).has_value());
  const AxisLimit limit{AxisId::kTpot, 1e-3, ""};
  EXPECT_FALSE(RobustScore(tpot, std::nullopt, &limit).has_value());
  EXPECT_FALSE(RobustScore(tpot, std::numeric_limits<double>::quiet_NaN(), &limit).has_value());
  EXPECT_FALSE(RobustScore(tpot, std::numeric_limits<double>::infinity(), &limit).has_value());
}

}  // namespace
}  // namespace moecap::cap
