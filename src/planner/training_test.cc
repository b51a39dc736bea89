#include "planner/training.h"

#include <gtest/gtest.h>

#include "hardware/catalogue.h"
#include "model/open_model.h"

namespace moecap::planner {
namespace {

model::ModelSpec Open(const char* id) {
  auto model = model::OpenModel(id);
  EXPECT_TRUE(model.ok());
  return *std::move(model);
}

// Qwen3-30B-A3B, one sequence of 1024 tokens: docs/metrics.md's parameters a token meets, 905,969,664 of attention, 12,582,912
// of routers, 8 experts, head; 4 x 32 x 128 FLOPs of attention a pair and layer.
TEST(Training, FlopsOfAStepByHand) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  TrainingSetup setup;
  setup.sequence_tokens = setup.tokens_per_step = setup.tokens_per_micro_batch = 1024;
  const double matrices = 905969664.0 + 12582912 + 1811939328 + 311164928;
  const double pairs = 1024.0 * 1025 / 2;
  const double forward = 2 * 1024 * matrices + pairs * 4 * 32 * 128 * 48;
  const TrainingWork work = WorkOfTraining(model, setup);
  EXPECT_NEAR(work.flops / (3 * forward), 1, 1e-9);
  EXPECT_NEAR(work.matrix_flops / (3 * 2 * 1024 * matrices), 1, 1e-9);
  setup.recomputed = 1;
  EXPECT_NEAR(WorkOfTraining(model, setup).executed_flops / (4 * forward), 1, 1e-9);
}

// One device, one micro-batch: bf16 weights twice, gradients written and added, 4 + 2 x 12 + 2 bytes a parameter of the
// optimiser, activations there and back.
TEST(Training, BytesAndMemoryOfOneDeviceByHand) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  TrainingSetup setup;
  setup.sequence_tokens = setup.tokens_per_step = setup.tokens_per_micro_batch = 1024;
  const auto params = static_cast<double>(model.TotalParams());
  // 48 layers: 4 x 2048 + 32 x 256 + 4 x 256 of attention, 8 x (3 x 768 + 2048) of experts.
  const double activations = 2.0 * 48 * (8192 + 8192 + 1024 + 8 * (2304 + 2048));
  EXPECT_DOUBLE_EQ(ActivationBytesPerToken(model), activations);
  const TrainingWork work = WorkOfTraining(model, setup);
  EXPECT_NEAR(work.bytes / (params * (4 + 8 + 30) + 2 * 1024 * activations), 1, 1e-9);
  EXPECT_DOUBLE_EQ(work.expert_link_bytes, 0);
  EXPECT_DOUBLE_EQ(work.gradient_link_bytes, 0);
  const TrainingMemory memory = MemoryOfTraining(model, setup);
  EXPECT_NEAR(memory.Total() / (params * (2 + 4 + 12) + 1024 * activations), 1, 1e-9);
}

// 8 ranks with data-parallel attention: each of 8192 tokens sends 8 copies of 2048 x 2 bytes, 7/8 of them away, there and back,
// forward and backward, in 48 layers. Dense gradients are summed over 8 copies, experts' over one.
TEST(Training, ExchangesByHand) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  TrainingSetup setup;
  setup.deployment = {1, 8, 1, 8};
  setup.sequence_tokens = 1024;
  setup.tokens_per_step = 8192;
  setup.tokens_per_micro_batch = 1024;
  const TrainingWork work = WorkOfTraining(model, setup);
  EXPECT_DOUBLE_EQ(work.expert_link_bytes, 2.0 * 48 * 2 * 8192 * 8 * 4096 * 7 / 8);
  const double routed = static_cast<double>(model.ByClass()[model::TensorClass::kRoutedExpert].params);
  const double dense = static_cast<double>(model.TotalParams()) - routed;
  EXPECT_NEAR(work.gradient_link_bytes / (8 * 2 * 7 / 8.0 * dense * 2), 1, 1e-12);
}

// ISCA 2025, "Insights into DeepSeek-V3", Table 4: 15,360 sequences of 4096 tokens a step on 2048 H800 in 19.926 s, 385 TFLOP/s
// with the causal mask, MFU 38.94 % of bf16. Technical report: 2.664 M H800 hours for 14.8 T tokens.
TEST(Training, AgreesWithDeepSeekV3sReports) {
  const model::ModelSpec model = Open("deepseek-ai/DeepSeek-V3");
  const hardware::Device h800 = *hardware::Catalogue::Builtin()->FindDevice("h800-sxm");
  TrainingSetup setup;
  setup.deployment = {1, 64, 16, 128};
  setup.tokens_per_step = 15360 * 4096.0;
  setup.matrix_type = "fp8";
  const TrainingWork work = WorkOfTraining(model, setup);
  const TrainingUtilization used = UtilizationOf(work, h800, 2048, 19.926);
  EXPECT_NEAR(used.s_mfu / 0.3894, 1, 0.06);
  const double hours = 14.8e12 / setup.tokens_per_step * 19.926 * 2048 / 3600;
  EXPECT_NEAR(hours / 2.664e6, 1, 0.06);
}

// models/tiny-moe/learning_curve.csv: steps 500 to 11,118 of 128 rows of 512 tokens in 276.2 s on an H200, evaluations
// included; rows are packed, so attention sees less than a row. Kernels of this size are bound by overhead.
TEST(Training, TinyMoeOnAnH200) {
  const model::ModelSpec model = *model::OpenModel(MOECAP_SOURCE_DIR "/models/tiny-moe/tiny-moe-f16.gguf");
  const hardware::Device h200 = *hardware::Catalogue::Builtin()->FindDevice("h200-sxm");
  TrainingSetup setup;
  setup.sequence_tokens = 512;
  setup.tokens_per_step = setup.tokens_per_micro_batch = 128 * 512;
  const TrainingWork work = WorkOfTraining(model, setup);
  const TrainingUtilization used = UtilizationOf(work, h200, 1, 276.2 / 10618);
  EXPECT_GT(used.s_mfu, 0.02);
  EXPECT_LT(used.s_mfu, 0.1);
  EXPECT_LT(used.s_mbu, 1);
  const TrainingTime floor = TimeOfTraining(model, setup, h200, {}, 1);
  EXPECT_LT(floor.hidden_s, 276.2 / 10618);
}

}  // namespace
}  // namespace moecap::planner
