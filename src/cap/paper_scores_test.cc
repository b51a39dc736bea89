#include "cap/paper_scores.h"

#include <gtest/gtest.h>

namespace moecap::cap {
namespace {

Evidence System(std::string label, std::optional<double> cost, std::optional<double> accuracy,
                std::optional<double> performance) {
  Evidence evidence;
  evidence.label = std::move(label);
  evidence.cost.value = cost;
  evidence.accuracy = accuracy;
  evidence.performance.value = performance;
  return evidence;
}

// The published example: Qwen3-30B-A3B, ticks 0..10000 by 2000.
TEST(PaperScores, ReproduceThePublishedExample) {
  const std::vector<Evidence> systems = {System("SGLang", 8920, 0.911, 0.058), System("K-Transformers", 3800, 0.8, 0.073),
                                         System("MoE-Infinity", 3800, 0.911, 0.15)};
  const auto scores = PaperScores(systems, {.cost_at_baseline = 8000});
  ASSERT_TRUE(scores);
  EXPECT_NEAR(*scores->at(0).performance, 100, 0.01);
  EXPECT_NEAR(*scores->at(0).cost, 20, 0.01);
  EXPECT_NEAR(*scores->at(0).accuracy, 64.4, 0.01);
  EXPECT_NEAR(*scores->at(1).performance, 86.96, 0.01);
  EXPECT_NEAR(*scores->at(1).cost, 62, 0.01);
  EXPECT_NEAR(*scores->at(1).accuracy, 20, 0.01);
  EXPECT_NEAR(*scores->at(2).performance, 20, 0.01);
  EXPECT_EQ(scores->at(2).label, "MoE-Infinity");
}

TEST(PaperScores, AreOfSeveralSystemsOnly) {
  EXPECT_FALSE(PaperScores(std::vector<Evidence>{System("one", 1, 0.5, 1)}));
  EXPECT_FALSE(PaperScores({}));
}

TEST(PaperScores, KeepNullAndStandEqualValues) {
  const auto scores = PaperScores(std::vector<Evidence>{System("a", std::nullopt, 1, 2), System("b", 0, 1, 2)});
  EXPECT_EQ(scores->at(0).cost, std::nullopt);
  EXPECT_EQ(scores->at(1).cost, 100);
  EXPECT_EQ(scores->at(0).accuracy, 100);
  EXPECT_EQ(scores->at(1).performance, 100);
}

TEST(PaperScores, TurnRoundWhereHigherIsBetter) {
  const std::vector<Evidence> systems = {System("slow", 1, 0.5, 100), System("fast", 1, 0.5, 300)};
  const auto scores = PaperScores(systems, {.performance_higher_is_better = true});
  EXPECT_EQ(scores->at(0).performance, 20);
  EXPECT_EQ(scores->at(1).performance, 100);
}

}  // namespace
}  // namespace moecap::cap
