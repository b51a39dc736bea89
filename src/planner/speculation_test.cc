#include "planner/speculation.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "model/catalogue.h"
#include "routing/estimate.h"

namespace moecap::planner {
namespace {

// One layer: attention of 200 bytes and 100 parameters, 4 experts of 100 bytes and 50 parameters, top-1. No cache, no head.
model::ModelSpec OneLayer() {
  model::ModelSpec spec;
  model::LayerSpec layer;
  layer.ffn.experts = 4;
  layer.ffn.top_k = 1;
  layer.weights[model::TensorClass::kAttention] = {100, 200, 100, 200};
  layer.weights[model::TensorClass::kRoutedExpert] = {200, 400, 200, 400};
  spec.layers.push_back(layer);
  return spec;
}

TEST(Speculation, TokensOfAPassByHand) {
  EXPECT_DOUBLE_EQ(TokensPerPass(0.5, 0), 1);
  EXPECT_DOUBLE_EQ(TokensPerPass(0.5, 3), 1 + 0.5 + 0.25 + 0.125);
  EXPECT_DOUBLE_EQ(TokensPerPass(1, 4), 5);
  EXPECT_DOUBLE_EQ(TokensPerPass(0, 4), 1);
  EXPECT_NEAR(TokensPerPass(0.8, 5), (1 - std::pow(0.8, 6)) / 0.2, 1e-12) << "the closed form";
  EXPECT_NEAR(*AcceptanceOf(1.875, 3), 0.5, 1e-9);
  EXPECT_FALSE(AcceptanceOf(4.1, 3));
  EXPECT_FALSE(AcceptanceOf(1, 0));
}

// Plain: expert 100 B / 100 B/s = 1 s, attention 200 / 100 = 2 s. One draft that brings half an expert more: 1.5 + 2.
TEST(Speculation, SecondsByHand) {
  const model::ModelSpec spec = OneLayer();
  const PassCeilings ceilings{.bytes_per_s = 100, .flops_per_s = 1000};
  const double plain = VerifySeconds(spec, std::array{1.0}, 1, 64, 1, ceilings);
  const double verify = VerifySeconds(spec, std::array{1.5}, 1, 64, 2, ceilings);
  EXPECT_DOUBLE_EQ(plain, 3);
  EXPECT_DOUBLE_EQ(verify, 3.5);
  // 31 tokens: 31 x 2 x 100 FLOPs / 1000 = 6.2 s of attention bind, 3.1 s of the experts do not beside 4 s of their bytes.
  EXPECT_DOUBLE_EQ(VerifySeconds(spec, std::array{4.0}, 1, 64, 31, ceilings), 10.2);
  EXPECT_DOUBLE_EQ(VerifySeconds(spec, std::array{1.0}, 1, 64, 1, {100, 1000, 0.25}), 3.25);
  EXPECT_NEAR(SpeculationSpeedUp(1.5, plain, verify, 0), 1.5 * 3 / 3.5, 1e-12);
  EXPECT_NEAR(*BreakEvenAcceptance(1, plain, verify, 0), 3.5 / 3 - 1, 1e-9);
  EXPECT_FALSE(BreakEvenAcceptance(1, 1, 2.5, 0)) << "two tokens cannot pay for 2.5 passes";
  EXPECT_EQ(BreakEvenAcceptance(1, 3, 3, 0), 0);
  EXPECT_NEAR(*BreakEvenAcceptance(1, 3, 3, 0.3), 0.1, 1e-9) << "drafting is paid for, too";
}

TEST(Speculation, PassesOfSeveralLengthsAddUp) {
  // 6 passes without a draft (3 s), 4 with one (3.5 s), of which 3 are accepted: 13 tokens in 32 s against 3 s each.
  const std::array passes = {SpeculativePasses{6, 3, 0}, SpeculativePasses{4, 3.5, 0.75}};
  EXPECT_NEAR(SpeculationSpeedUp(passes, 3), 13 * 3 / 32.0, 1e-12);
}

TEST(Speculation, SeveralSequencesReadAsIndependentTokensOfTheSameWorth) {
  const std::vector<double> even(16, 1.0 / 16);
  EXPECT_DOUBLE_EQ(DistinctOfSequences(3.25, even, 2, 1), 3.25);
  const double two = routing::DistinctExpertsFromPopularity(even, 2, 2);
  EXPECT_NEAR(DistinctOfSequences(two, even, 2, 3), routing::DistinctExpertsFromPopularity(even, 2, 6), 1e-6);
  EXPECT_DOUBLE_EQ(DistinctOfSequences(16, even, 2, 8), 16);
}

TEST(Speculation, LengthsOfDraftsByHand) {
  const std::vector<std::vector<double>> distinct = {{1}, {1.5}, {2.5}};
  SpeculationSetting setting{.acceptance = 0.5, .ceilings = {.bytes_per_s = 100, .flops_per_s = 1000}};
  const auto rows = PredictSpeculation(OneLayer(), distinct, {}, setting);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_DOUBLE_EQ(rows[0].speed_up, 1);
  EXPECT_NEAR(rows[1].cost, 3.5 / 3, 1e-12);
  EXPECT_NEAR(rows[2].cost, 4.5 / 3, 1e-12);
  EXPECT_NEAR(rows[2].speed_up, 1.75 / 1.5, 1e-12);
  EXPECT_NEAR(*rows[2].break_even, (std::sqrt(3) - 1) / 2, 1e-9) << "1 + a + a^2 = 1.5";
  setting.draft_s_per_token = 0.3;
  EXPECT_NEAR(PredictSpeculation(OneLayer(), distinct, {}, setting)[2].cost, 5.1 / 3, 1e-12);
  // Three sequences that each use expert 0 or 1 alike: 2 (1 - (1/2)^3) of one token each.
  setting = {.acceptance = 0.5, .sequences = 3, .ceilings = {.bytes_per_s = 100, .flops_per_s = 1e9}};
  const std::vector<std::vector<double>> popularity = {{0.5, 0.5, 0, 0}};
  EXPECT_NEAR(PredictSpeculation(OneLayer(), distinct, popularity, setting)[0].distinct_experts, 1.75, 1e-9);
}

// The more experts a draft brings, the less it pays; a dense model has nothing to lose but FLOPs.
TEST(Speculation, ASparseModelGainsLess) {
  const auto models = *model::ModelCatalogue::Builtin();
  const model::ModelSpec spec = *model::SpecOf(*models.Find("Qwen/Qwen3-30B-A3B"), "Qwen/Qwen3-30B-A3B");
  const PassCeilings h200{.bytes_per_s = 4.8e12, .flops_per_s = 989e12};
  const double plain = VerifySeconds(spec, std::array{8.0}, 1, 1024, 1, h200);
  double last = 5;
  for (const double distinct : {8.0, 16.0, 24.0, 36.0}) {
    const double up = SpeculationSpeedUp(4, plain, VerifySeconds(spec, std::array{distinct}, 1, 1024, 5, h200), 0);
    EXPECT_LT(up, last);
    last = up;
  }
  EXPECT_GT(last, 1);
}

}  // namespace
}  // namespace moecap::planner
