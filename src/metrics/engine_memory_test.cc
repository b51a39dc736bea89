#include "metrics/engine_memory.h"

#include <gtest/gtest.h>

#include "model/open_model.h"

namespace moecap::metrics {
namespace {

model::ModelSpec Open(const char* id) {
  auto model = model::OpenModel(id);
  EXPECT_TRUE(model.ok());
  return *std::move(model);
}

// Qwen3-30B-A3B: 48 layers, 4 KV heads of 128, hidden 2048, vocabulary 151,936; 1000 tokens are 4 blocks of 256.
TEST(EngineMemory, TakesWholeBlocksAndTheLogitsOfAPass) {
  const model::ModelSpec model = Open("Qwen/Qwen3-30B-A3B");
  const EngineMemory memory = MemoryOfEngine(model, {4, 1000, 512});
  EXPECT_DOUBLE_EQ(memory.weights, model.WeightBytes());
  EXPECT_DOUBLE_EQ(memory.kv_cache, 4.0 * 1024 * 48 * 2 * 4 * 128 * 2);
  EXPECT_DOUBLE_EQ(memory.compute, 512.0 * 4 * (151936 + 2 * 2048));
  EXPECT_DOUBLE_EQ(memory.outputs, 4.0 * 151936 * 4);
}

// Mixtral, 2 of 8 experts of 14,336, vocabulary 32,000: the FFN is wider than the logits, and the mask lies beside it.
TEST(EngineMemory, TheWidestLayerMayOutweighTheLogits) {
  const EngineMemory memory = MemoryOfEngine(Open("mistralai/Mixtral-8x7B-Instruct-v0.1"), {1, 4096, 512});
  EXPECT_DOUBLE_EQ(memory.compute, 512.0 * (4 * (3 * 2 * 14336 + 4 * 4096) + 2 * 4096));
}

// gpt-oss-20b: every second of 24 layers has a window of 128; 8 KV heads of 64.
TEST(EngineMemory, WindowsHaveRoomForAPass) {
  const model::ModelSpec model = Open("openai/gpt-oss-20b");
  const double layer_entry = 8 * 64 * 2 * 2;
  EXPECT_DOUBLE_EQ(MemoryOfEngine(model, {2, 8192, 512}).kv_cache, 2 * 12 * layer_entry * (8192 + 768));
  EXPECT_DOUBLE_EQ(MemoryOfEngine(model, {2, 8192, 512, true}).kv_cache, 2 * 24 * layer_entry * 8192);
  EXPECT_DOUBLE_EQ(MemoryOfEngine(model, {2, 256, 512}).kv_cache, 2 * 24 * layer_entry * 256);
}

}  // namespace
}  // namespace moecap::metrics
