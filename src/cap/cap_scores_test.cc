#include "cap/cap_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace moecap::cap {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

CapInput System(const char* name, double cost, double accuracy, double performance,
                std::optional<double> error = std::nullopt) {
  return {name, cost, accuracy, error, performance};
}

// Qwen3-30B-A3B, MoE-CAP's examples/radar-plot/radar-example.yaml: USD, exact match, TPOT.
std::vector<CapInput> PublishedExample() {
  return {System("SGLang", 8920, 0.911, 0.058), System("K-Transformers", 3800, 0.800, 0.073),
          System("MoE-Infinity", 3800, 0.911, 0.150)};
}

TEST(ScoreSystems, ReproducesThePublishedRadar) {
  ScoreOptions options;
  options.cost_at_baseline = 8000;  // second-last tick of 0..10000 by 2000
  const auto scores = ScoreSystems(PublishedExample(), options);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_NEAR(*scores[0].performance, 100, 0.005);
  EXPECT_NEAR(*scores[0].cost, 20, 0.005);
  EXPECT_NEAR(*scores[0].accuracy, 64.4, 0.005);
  EXPECT_NEAR(*scores[1].performance, 86.96, 0.005);
  EXPECT_NEAR(*scores[1].cost, 62, 0.005);
  EXPECT_NEAR(*scores[1].accuracy, 20, 0.005);
  EXPECT_NEAR(*scores[2].performance, 20, 0.005);
  EXPECT_NEAR(*scores[2].cost, 62, 0.005);
  EXPECT_NEAR(*scores[2].accuracy, 64.4, 0.005);
}

TEST(ScoreSystems, ClassifiesThePublishedExampleAsThePaperDoes) {
  const auto scores = ScoreSystems(PublishedExample());
  EXPECT_EQ(scores[0].cap_class, CapClass::kPerformanceAccuracy);
  EXPECT_EQ(scores[1].cap_class, CapClass::kPerformanceCost);
  EXPECT_EQ(scores[2].cap_class, CapClass::kCostAccuracy);
  EXPECT_THAT(scores[0].reason, HasSubstr("gives up cost: 2.3x the cost"));
  EXPECT_THAT(scores[2].reason, HasSubstr("57 % cheaper than SGLang, gives up performance: 2.6x slower"));
}

TEST(ScoreSystems, WithoutAGivenScaleNoCostIsCutOff) {
  const std::vector<CapInput> inputs = {System("a", 8920, 0.9, 1), System("b", 80000, 0.9, 1)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_NEAR(*scores[0].cost, 20 + (80000 - 8920) / 80000.0 * 80, 1e-9);
  EXPECT_NEAR(*scores[1].cost, 20, 1e-9);
}

TEST(ScoreSystems, EqualSystemsDivideNothingByZero) {
  const std::vector<CapInput> inputs = {System("a", 0, 1, 5), System("b", 0, 1, 5)};
  for (const CapScores& scores : ScoreSystems(inputs)) {
    EXPECT_EQ(scores.cost, 100);
    EXPECT_EQ(scores.accuracy, 100);
    EXPECT_EQ(scores.performance, 100);
    EXPECT_EQ(scores.cap_class, CapClass::kBalanced);
  }
}

TEST(ScoreSystems, ReasonCarriesTheFigures) {
  const std::vector<CapInput> inputs = {System("F16", 1.00, 0.720, 0.014, 0.020), System("Q4_0", 0.59, 0.658, 0.010, 0.0217)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[1].cap_class, CapClass::kPerformanceCost);
  EXPECT_EQ(scores[1].reason,
            "PC: 41 % cheaper and 1.4x faster than F16, gives up 6.2 points of accuracy (2.1 standard errors)");
}

TEST(ScoreSystems, AccuracyWithinNoiseIsNotGivenUp) {
  // The same difference with twice the error: 1.05 standard errors.
  const std::vector<CapInput> inputs = {System("F16", 1.00, 0.720, 0.014, 0.040), System("Q4_0", 0.59, 0.658, 0.010, 0.0434)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[1].cap_class, CapClass::kBalanced);
  EXPECT_EQ(scores[0].cap_class, CapClass::kDominated);
  EXPECT_EQ(scores[0].reason, "dominated: Q4_0 is 41 % cheaper and 1.4x faster, and behind in nothing beyond noise");
  EXPECT_THAT(scores[0].dominated_by, ElementsAre("Q4_0"));
}

TEST(ScoreSystems, OnOneMachineASlowSystemGivesUpPerformance) {
  // Cost follows from time here: both lag the same way, by the same ratio.
  std::vector<CapInput> inputs = {System("F16", 1.41, 0.74, 0.0141, 0.01), System("Q8_0", 1.15, 0.70, 0.0115, 0.01),
                                  System("Q4_0", 1.00, 0.62, 0.0100, 0.01)};
  auto scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[0].cap_class, CapClass::kCostAccuracy);
  EXPECT_EQ(scores[1].cap_class, CapClass::kCostAccuracy);
  EXPECT_EQ(scores[2].cap_class, CapClass::kPerformanceCost);
  EXPECT_EQ(
      scores[0].reason,
      "CA: 12.0 points more accurate (8.5 standard errors) than Q4_0, gives up performance: 1.4x slower; also 41 % dearer");
  inputs[0].accuracy = 0.71;  // no longer better than Q8_0, which is faster
  scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[0].cap_class, CapClass::kDominated);
  EXPECT_THAT(scores[0].reason, HasSubstr("Q8_0 is 18 % cheaper and 1.2x faster"));
}

TEST(ScoreSystems, NamesTheUndominatedWinnersFirst) {
  const std::vector<CapInput> inputs = {System("worst", 3, 0.5, 3), System("middle", 2, 0.5, 2), System("best", 1, 0.5, 1)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[0].cap_class, CapClass::kDominated);
  EXPECT_THAT(scores[0].dominated_by, ElementsAre("best", "middle"));
  EXPECT_THAT(scores[0].reason, HasSubstr("; middle dominates it too"));
  EXPECT_EQ(scores[2].cap_class, CapClass::kBalanced);
}

TEST(ScoreSystems, TheMarginBoundsWhatCounts) {
  const std::vector<CapInput> inputs = {System("a", 1.04, 0.5, 1), System("b", 1, 0.5, 1)};
  EXPECT_EQ(ScoreSystems(inputs)[0].cap_class, CapClass::kBalanced);
  ScoreOptions options;
  options.meaningful_ratio = 1.03;
  EXPECT_EQ(ScoreSystems(inputs, options)[0].cap_class, CapClass::kDominated);
  const std::vector<CapInput> accuracies = {System("a", 1, 0.50, 1, 0.001), System("b", 1, 0.52, 1, 0.001)};
  EXPECT_EQ(ScoreSystems(accuracies)[0].cap_class, CapClass::kDominated);
  options.accuracy_margin = 0.03;
  EXPECT_EQ(ScoreSystems(accuracies, options)[0].cap_class, CapClass::kBalanced);
}

TEST(ScoreSystems, AThroughputIsBetterWhenHigher) {
  ScoreOptions options;
  options.performance_axis = AxisId::kOutputTokensPerS;
  const std::vector<CapInput> inputs = {System("slow", 1, 0.8, 100), System("fast", 2, 0.8, 400),
                                        System("middle", 1.5, 0.8, 250)};
  const auto scores = ScoreSystems(inputs, options);
  EXPECT_NEAR(*scores[0].performance, 20, 1e-12);
  EXPECT_NEAR(*scores[1].performance, 100, 1e-12);
  EXPECT_NEAR(*scores[2].performance, 60, 1e-12);  // 20 + (250 - 100) / 300 x 80
  EXPECT_EQ(scores[0].cap_class, CapClass::kCostAccuracy);
  EXPECT_THAT(scores[0].reason, HasSubstr("gives up performance: 4.0x slower"));
  EXPECT_EQ(scores[1].cap_class, CapClass::kPerformanceAccuracy);
}

TEST(ScoreSystems, NamesTheCostOfTheAxis) {
  ScoreOptions options;
  options.cost_axis = AxisId::kPowerW;
  const std::vector<CapInput> inputs = {System("a", 200, 0.8, 1), System("b", 100, 0.8, 2)};
  const auto scores = ScoreSystems(inputs, options);
  EXPECT_THAT(scores[0].reason, HasSubstr("gives up cost: 2.0x the power"));
  EXPECT_THAT(scores[1].reason, HasSubstr("50 % less power than a"));
}

// Two thirds of the resamples put `noisy` 10 % behind, the rest level with the other one.
TEST(ScoreSystems, SupportIsTheShareOfResamplesWithTheSameClass) {
  std::vector<CapInput> inputs = {System("a", 1.0, 0.8, 1.1), System("b", 1.2, 0.8, 1.0)};
  inputs[0].performance_resamples = {1.10, 1.10, 1.00};
  inputs[1].performance_resamples = {1.00, 1.00, 1.00};
  ScoreOptions options;
  options.significant_errors = 0;  // the resamples are few and far apart
  const auto scores = ScoreSystems(inputs, options);
  EXPECT_EQ(scores[0].cap_class, CapClass::kCostAccuracy);
  EXPECT_NEAR(*scores[0].class_support, 2.0 / 3, 1e-12);
  ASSERT_EQ(scores[0].class_alternatives.size(), 1u);
  EXPECT_EQ(scores[0].class_alternatives[0].cap_class, CapClass::kBalanced);
  EXPECT_NEAR(scores[0].class_alternatives[0].share, 1.0 / 3, 1e-12);
  EXPECT_EQ(scores[1].cap_class, CapClass::kPerformanceAccuracy);
  EXPECT_THAT(scores[1].class_alternatives, testing::SizeIs(1));  // dominated where the time is level
}

// The same difference, first with little noise, then with much: log(1.1) is 0.095.
TEST(ScoreSystems, TimesWithinTheirMeasuredNoiseAreEqual) {
  const auto class_with = [](double spread) {
    std::vector<CapInput> inputs = {System("a", 1.0, 0.8, 1.1), System("b", 1.0, 0.8, 1.0)};
    inputs[0].performance_resamples = {1.1 * std::exp(-spread), 1.1 * std::exp(spread)};
    inputs[1].performance_resamples = {1.0, 1.0};
    return ScoreSystems(inputs)[0].cap_class;  // standard deviation: sqrt(2) x spread
  };
  EXPECT_EQ(class_with(0.033), CapClass::kDominated);  // 2 x 0.0467 < 0.0953
  EXPECT_EQ(class_with(0.034), CapClass::kBalanced);   // 2 x 0.0481 > 0.0953
}

TEST(ScoreSystems, TheSacrificeHasAnInterval) {
  std::vector<CapInput> inputs = {System("a", 1.0, 0.8, 2.0), System("b", 2.0, 0.8, 1.0)};
  inputs[0].performance_resamples = {1.8, 2.0, 2.2};
  inputs[1].performance_resamples = {1.0, 1.0, 1.0};
  // Quantiles 0.025 and 0.975 of {1.8, 2.0, 2.2}: 1.81 and 2.19.
  EXPECT_THAT(ScoreSystems(inputs)[0].reason, HasSubstr("gives up performance: 2.0x slower (95 %: 1.81 to 2.19x)"));
}

TEST(ScoreSystems, AnotherSystemsLeadCountsEvenWhenTheMostAccurateIsTooNoisy) {
  const std::vector<CapInput> inputs = {System("noisy", 1, 0.80, 1, 0.20), System("sure", 1, 0.75, 1, 0.005),
                                        System("poor", 0.5, 0.60, 1, 0.005)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[2].cap_class, CapClass::kPerformanceCost);
  EXPECT_THAT(scores[2].reason, HasSubstr("than sure"));
}

TEST(ScoreSystems, WithoutStandardErrorsOnePointCounts) {
  const auto class_of = [](double accuracy) {
    const std::vector<CapInput> inputs = {System("a", 1, 0.5, 1), System("b", 1, accuracy, 1)};
    return ScoreSystems(inputs)[1].cap_class;
  };
  EXPECT_EQ(class_of(0.495), CapClass::kBalanced);
  EXPECT_EQ(class_of(0.485), CapClass::kDominated);
}

TEST(ScoreSystems, MissingValuesGiveNoScoreAndNoClass) {
  CapInput no_cost = System("no cost", 1, 0.5, 1);
  no_cost.cost.reset();
  CapInput nothing{"nothing", {}, std::numeric_limits<double>::quiet_NaN(), {}, {}};
  const std::vector<CapInput> inputs = {no_cost, nothing, System("complete", 1, 0.5, 1)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_FALSE(scores[0].cost.has_value());
  EXPECT_TRUE(scores[0].accuracy.has_value());
  EXPECT_EQ(scores[0].cap_class, CapClass::kUnknown);
  EXPECT_EQ(scores[0].reason, "unknown: cost not known");
  EXPECT_EQ(scores[1].reason, "unknown: cost and accuracy and performance not known");
  EXPECT_EQ(scores[2].reason, "unknown: no other system to compare with");
  EXPECT_TRUE(ScoreSystems({}).empty());
}

TEST(CapClassName, IsThePapersName) {
  EXPECT_EQ(CapClassName(CapClass::kPerformanceAccuracy), "PA");
  EXPECT_EQ(CapClassName(CapClass::kPerformanceCost), "PC");
  EXPECT_EQ(CapClassName(CapClass::kCostAccuracy), "CA");
  EXPECT_EQ(CapClassName(CapClass::kBalanced), "balanced");
  EXPECT_EQ(CapClassName(CapClass::kDominated), "dominated");
  EXPECT_EQ(CapClassName(CapClass::kUnknown), "unknown");
}

// Seven of 128 problems only the first system gets right, none only the second: beyond noise when paired, not when the two
// errors are added as if independent.
TEST(ScoreSystems, PairsTheProblemsOfTwoSystems) {
  CapInput first{"first", 2.0, 124.0 / 128, 0.0155, 2.0};
  CapInput second{"second", 1.0, 117.0 / 128, 0.0249, 1.0};
  EXPECT_EQ(ScoreSystems(std::vector{first, second})[1].cap_class, CapClass::kBalanced);
  first.item_scores.assign(128, 1.0);
  std::fill_n(first.item_scores.begin(), 4, 0.0);
  second.item_scores = first.item_scores;
  std::fill_n(second.item_scores.begin() + 4, 7, 0.0);
  const auto scores = ScoreSystems(std::vector{first, second});
  EXPECT_EQ(scores[1].cap_class, CapClass::kPerformanceCost) << scores[1].reason;
  const auto differences = CompareAccuracies(std::vector{first, second});
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_NEAR(differences[0].difference, 7.0 / 128, 1e-12);
  EXPECT_NEAR(*differences[0].std_error, std::sqrt((7.0 / 128 - 49.0 / 128 / 128) / 127), 1e-12);
  EXPECT_NEAR(differences[0].p_value, 2 * std::pow(0.5, 7), 1e-12);
}

}  // namespace
}  // namespace moecap::cap
