#include "metrics/device_memory.h"

#include <gtest/gtest.h>

#include "model/open_model.h"

namespace moecap::metrics {
namespace {

model::ModelSpec Open(const char* id) {
  auto model = model::OpenModel(id);
  EXPECT_TRUE(model.ok());
  return *std::move(model);
}

TEST(DeviceMemory, OneDeviceHoldsEverythingOnce) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  const DeviceMemory memory = MemoryOfDevice(model, {}, {4, 1000});
  EXPECT_NEAR(memory.Weights(), model.WeightBytes(), 1);
  EXPECT_NEAR(memory.kv_cache, 4 * model.ResidentKvBytes(1000), 1);
  EXPECT_EQ(memory.replicated_kv_cache, 0);
  EXPECT_TRUE(memory.replicated.empty());
  EXPECT_LT(memory.Total().low, memory.Total().high);
  EXPECT_GT(memory.Total().low, memory.Weights() + memory.kv_cache);
}

// Qwen3-30B-A3B, 4 KV heads of 128, hidden 2048, 48 layers, tensor 8: the heads lie twice, with their projections.
TEST(DeviceMemory, TensorParallelismCopiesWhatItCannotCut) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  const DeviceMemory memory = MemoryOfDevice(model, {8, 1, 1, 1}, {8, 1000});
  EXPECT_DOUBLE_EQ(memory.kv_cache, 8 * model.ResidentKvBytes(1000) / 4);
  EXPECT_DOUBLE_EQ(memory.replicated_kv_cache, memory.kv_cache / 2);
  EXPECT_DOUBLE_EQ(memory.routed_experts, model.ByClass()[model::TensorClass::kRoutedExpert].bytes / 8);
  const double whole = 2.0 * (210944 + 12582912);
  const double heads = 2.0 * 48 * 2 * 2048 * 4 * 128 / 4;
  EXPECT_NEAR(memory.replicated_weights, whole + heads, 1);
  EXPECT_EQ(memory.replicated.size(), 2U);
}

TEST(DeviceMemory, ExpertParallelismGivesWholeExperts) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  const double routed = model.ByClass()[model::TensorClass::kRoutedExpert].bytes;
  EXPECT_DOUBLE_EQ(MemoryOfDevice(model, {1, 8, 1, 8}, {8, 0}).routed_experts, routed / 8);
  EXPECT_DOUBLE_EQ(MemoryOfDevice(model, {8, 8, 1, 1}, {8, 0}).routed_experts, routed / 8);
  // 128 experts on 24 ranks: one of them has 6.
  EXPECT_DOUBLE_EQ(MemoryOfDevice(model, {1, 24, 1, 24}, {24, 0}).routed_experts, routed * 6 / 128);
  // A replica's attention is its own: data-parallel attention copies it, and splits the sequences.
  const DeviceMemory data = MemoryOfDevice(model, {1, 8, 1, 8}, {16, 1000});
  EXPECT_DOUBLE_EQ(data.kv_cache, 2 * model.ResidentKvBytes(1000));
}

TEST(DeviceMemory, LatentsAreWholeAndStagesShareLayers) {
  const model::ModelSpec model = Open("deepseek-ai/DeepSeek-V3");
  EXPECT_DOUBLE_EQ(MemoryOfDevice(model, {8, 8, 1, 1}, {1, 1000}).kv_cache, model.ResidentKvBytes(1000));
  const DeviceMemory staged = MemoryOfDevice(model, {8, 8, 2, 1}, {1, 1000});
  EXPECT_LT(staged.kv_cache, 0.52 * model.ResidentKvBytes(1000));
  const double all = MemoryOfDevice(model, {8, 8, 1, 1}, {1, 1000}).Weights();
  EXPECT_GT(staged.Weights(), 0.48 * all);
  EXPECT_LT(staged.Weights(), 0.6 * all);
}

}  // namespace
}  // namespace moecap::metrics
