#include "planner/expert_balance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace moecap::planner {
namespace {

using testing::HasSubstr;

// One layer of four experts on two ranks; tiles of 4 rows; an expert takes 1 s to read, a row 0.1 s.
BalanceQuestion TwoRanks() {
  BalanceQuestion question;
  question.experts = 4;
  question.layers = 1;
  question.ranks = 2;
  question.block_m = 4;
  question.bytes_per_expert = 100;
  question.bytes_per_s = 100;
  question.params_per_expert = 50;
  question.flops_per_s = 1000;
  question.today = {routing::LinearPlacement(4, 2)};
  return question;
}

// {5, 1 | 2, 0}: rank 0 has 6 tokens of 8, 2 of 3 experts, 8 + 4 of 16 tile rows. Rank 0: max(2 s, 12 x 0.1 s).
TEST(ExpertBalance, FiguresOfAPassByHand) {
  const BalanceQuestion question = TwoRanks();
  const std::vector<PassLoad> passes = {{5, 1, 2, 0}};
  const BalanceFigures figures = FiguresOf(question, question.today, passes);
  EXPECT_DOUBLE_EQ(figures.tokens_max_over_mean, 6 / 4.0);
  EXPECT_DOUBLE_EQ(figures.experts_max_over_mean, 2 / 1.5);
  EXPECT_DOUBLE_EQ(figures.padding, 16 / 8.0);
  EXPECT_DOUBLE_EQ(figures.seconds, 2);
  // 64 tokens of expert 0 on rank 0: 64 rows x 0.1 s. Three replicas take 22, 21 and 21, in 24 rows each; two are on rank 0.
  const std::vector<PassLoad> heavy = {{64, 0, 0, 0}};
  EXPECT_NEAR(FiguresOf(question, question.today, heavy).seconds, 6.4, 1e-12);
  const std::vector<routing::ExpertPlacement> twice = {{2, {0, 1, 0, 2, 0, 3}}};
  EXPECT_NEAR(FiguresOf(question, twice, heavy).seconds, 4.8, 1e-12);
}

std::vector<PassLoad> Passes(size_t count, std::vector<double> share, uint64_t seed) {
  Rng rng(seed);
  std::vector<PassLoad> passes;
  for (size_t pass = 0; pass < count; ++pass) {
    PassLoad load;
    for (const double mean : share) load.push_back(static_cast<uint32_t>(mean * (0.8 + 0.4 * rng.Uniform())));
    passes.push_back(load);
  }
  return passes;
}

TEST(ExpertBalance, HotExpertsOnOneRankAreWorthMoving) {
  BalanceQuestion question = TwoRanks();
  question.redundant = {0, 2};
  const auto passes = Passes(80, {400, 300, 20, 10}, 1);
  const auto balance = JudgeBalance(question, passes);
  ASSERT_TRUE(balance.ok()) << balance.error().message;
  ASSERT_EQ(balance->ways.size(), 3u);
  EXPECT_EQ(balance->fitted_passes, 40);
  EXPECT_EQ(balance->verdict, BalanceVerdict::kEnable);
  const BalanceWay& moved = balance->ways[1];
  EXPECT_NEAR(moved.gain, 710.0 / 410, 0.1) << "400 + 10 beside 300 + 20";
  EXPECT_LT(moved.gain_low, moved.gain);
  EXPECT_GT(moved.gain_high, moved.gain);
  const BalanceWay& doubled = balance->ways[2];
  EXPECT_GT(doubled.gain, moved.gain);
  EXPECT_LE(doubled.later.tokens_max_over_mean, 1.05);
  EXPECT_DOUBLE_EQ(doubled.extra_bytes, 100);
  EXPECT_EQ(balance->later.size(), 10u);
  EXPECT_LT(balance->later.front().distance, 0.05);
  EXPECT_GE(balance->own_gain, doubled.gain * 0.99);
}

TEST(ExpertBalance, AnEvenLoadIsLeftAlone) {
  BalanceQuestion question = TwoRanks();
  question.redundant = {0};
  const auto balance = JudgeBalance(question, Passes(80, {200, 200, 200, 200}, 2));
  EXPECT_EQ(balance->verdict, BalanceVerdict::kLeave) << balance->ways[1].gain_low << " " << balance->ways[1].gain_high;
}

// What was hot at first is cold later: the placement that was fitted gains nothing, one fitted on the later passes would.
TEST(ExpertBalance, DriftUndoesAFit) {
  BalanceQuestion question = TwoRanks();
  question.redundant = {0};
  auto passes = Passes(40, {400, 300, 20, 10}, 3);
  for (const PassLoad& pass : Passes(40, {300, 20, 10, 400}, 4)) passes.push_back(pass);
  const auto balance = JudgeBalance(question, passes);
  EXPECT_NE(balance->verdict, BalanceVerdict::kEnable);
  EXPECT_GT(balance->later.front().distance, 0.3);
  EXPECT_GE(balance->own_gain, balance->ways[1].gain);
}

TEST(ExpertBalance, Refuses) {
  BalanceQuestion question = TwoRanks();
  EXPECT_THAT(JudgeBalance(question, Passes(7, {1, 1, 1, 1}, 5)).error().message, HasSubstr("7 passes"));
  question.redundant = {3};
  EXPECT_THAT(JudgeBalance(question, Passes(80, {1, 1, 1, 1}, 6)).error().message, HasSubstr("multiple of 2"));
  question.redundant = {};
  question.today = {{2, {0, 1, 2, 2}}};
  EXPECT_THAT(JudgeBalance(question, Passes(80, {1, 1, 1, 1}, 7)).error().message, HasSubstr("without a place"));
}

}  // namespace
}  // namespace moecap::planner
