#include "metrics/batch_curve.h"

#include <gtest/gtest.h>

#include "model/open_model.h"

namespace moecap::metrics {
namespace {

constexpr int64_t kBatches[] = {1, 8, 64, 4096};

TEST(DecodeCurve, Qwen3AtBatchOneEqualsHandComputation) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok()) << model.error().message;
  const BatchPoint one = DecodeCurve(*model, kBatches, {.context_tokens = 0})[0];
  EXPECT_DOUBLE_EQ(one.distinct_experts, 8);
  // Everything but 120 of 128 experts of 3 x 2048 x 768 in 48 layers.
  const double idle = 120.0 * 3 * 2048 * 768 * 48;
  EXPECT_NEAR(one.activated_share, 1 - idle / static_cast<double>(model->TotalParams()), 1e-12);
  // bf16: the active parameters without the input table, one of its rows, and the new token's KV entry (4 heads x 128 x 2 x
  // 48).
  EXPECT_NEAR(one.bytes_per_step,
              2.0 * (static_cast<double>(model->ActiveParamsNoInputEmbedding()) + 2048 + 4.0 * 128 * 2 * 48), 1.0);
  EXPECT_NEAR(one.flops_per_token / (2.0 * static_cast<double>(model->ActiveParamsNoInputEmbedding())), 1, 1e-3);
}

TEST(DecodeCurve, GrowsTowardsTheWholeModelAndStaysBelowUniform) {
  for (const char* id :
       {"Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3", "mistralai/Mixtral-8x7B-v0.1", "openai/gpt-oss-120b"}) {
    const auto model = model::OpenModel(id);
    ASSERT_TRUE(model.ok()) << model.error().message;
    const auto curve = DecodeCurve(*model, kBatches, {});
    for (size_t i = 0; i < curve.size(); ++i) {
      EXPECT_LE(curve[i].distinct_experts, curve[i].distinct_experts_uniform + 1e-9);
      EXPECT_LE(curve[i].activated_share, 1);
      EXPECT_LT(curve[i].kv_bytes_per_step, curve[i].bytes_per_step);
      if (i == 0) continue;
      EXPECT_GT(curve[i].activated_share, curve[i - 1].activated_share);
      EXPECT_GT(curve[i].bytes_per_step, curve[i - 1].bytes_per_step);
    }
    EXPECT_GT(curve.back().activated_share, 0.99);
  }
}

TEST(DecodeCurve, PrefillSharesItsWeightsAmongTheTokens) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  const PrefillCost one = CostOfPrefill(*model, 1), many = CostOfPrefill(*model, 1024);
  EXPECT_LT(many.bytes, 20 * one.bytes);
  EXPECT_GT(many.flops, 900 * one.flops * 0.9);
}

}  // namespace
}  // namespace moecap::metrics
