#include "cap/cap_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace moecap::cap {
namespace {

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
  EXPECT_EQ(scores[0].cap_class, CapClass::kPerformanceAccuracy);
  EXPECT_THAT(scores[0].reason, HasSubstr("gains nothing beyond noise"));
}

TEST(ScoreSystems, OnOneMachineASlowSystemGivesUpPerformance) {
  // Cost follows from time here: both lag the same way, by the same ratio.
  const std::vector<CapInput> inputs = {System("F16", 1.41, 0.70, 0.0141, 0.01), System("Q8_0", 1.15, 0.70, 0.0115, 0.01),
                                        System("Q4_0", 1.00, 0.62, 0.0100, 0.01)};
  const auto scores = ScoreSystems(inputs);
  EXPECT_EQ(scores[0].cap_class, CapClass::kCostAccuracy);
  EXPECT_EQ(scores[1].cap_class, CapClass::kCostAccuracy);
  EXPECT_EQ(scores[2].cap_class, CapClass::kPerformanceCost);
  EXPECT_EQ(
      scores[0].reason,
      "CA: 8.0 points more accurate (5.7 standard errors) than Q4_0, gives up performance: 1.4x slower; also 41 % dearer");
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
  EXPECT_EQ(class_of(0.485), CapClass::kPerformanceCost);
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
