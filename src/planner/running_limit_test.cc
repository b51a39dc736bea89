#include "planner/running_limit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hardware/catalogue.h"
#include "model/catalogue.h"

namespace moecap::planner {
namespace {

class RunningLimitTest : public testing::Test {
 protected:
  double Default(const char* system, const char* device, const MemoryPlan& memory = {}, double usable_bytes = 0) const {
    return DefaultRunningLimit(systems_.Find(system), *devices_.FindDevice(device), memory, usable_bytes);
  }

  hardware::Catalogue devices_ = *hardware::Catalogue::Builtin();
  SystemSupport systems_ = *SystemSupport::Builtin();
};

TEST_F(RunningLimitTest, EachSystemHasItsOwnDefault) {
  EXPECT_EQ(Default("vllm", "h200-sxm"), 1024);
  EXPECT_EQ(Default("vllm", "h100-sxm"), 1024) << "70 GiB and more";
  EXPECT_EQ(Default("vllm", "a100-80-sxm"), 256) << "counts as small whatever its memory";
  EXPECT_EQ(Default("vllm", "rtx-4090"), 256);
  EXPECT_EQ(Default("vllm", "epyc-9755"), 128);
  EXPECT_EQ(Default("sglang", "rtx-4090"), 2048);
  EXPECT_EQ(Default("trtllm", "b200-sxm"), 2048);
  EXPECT_EQ(Default("llama-server", "h200-sxm"), 4);
  EXPECT_EQ(Default("ktransformers", "rtx-4090"), 2048) << "its server is SGLang";
  for (const char* one : {"ollama", "moe-infinity", "transformers"}) EXPECT_EQ(Default(one, "h200-sxm"), 1) << one;
  for (const SystemRelease& system : systems_.systems()) EXPECT_FALSE(system.running.source.empty()) << system.name;
}

// 40 GB beside the weights. States get 0.9 of 1.9 parts, 18.95 GB: 37 requests of five states of 0.1 GB. The caches of 0.2 GB a
// request get the other 21.05 GB, room for 105.
TEST_F(RunningLimitTest, APoolOfStatesLimitsHybridModels) {
  MemoryPlan memory{.weights_bytes = 60e9, .sequence_bytes = 0.3e9, .state_bytes = 0.1e9};
  EXPECT_EQ(Default("sglang", "h200-sxm", memory, 100e9), 37);
  EXPECT_EQ(Default("ktransformers", "h200-sxm", memory, 100e9), 37) << "its server is SGLang";
  EXPECT_EQ(Default("vllm", "h200-sxm", memory, 100e9), 1024) << "no such pool";
  memory.state_bytes = 1e6;
  memory.sequence_bytes = 2.001e9;  // now the caches: 21.05 / 2
  EXPECT_EQ(Default("sglang", "h200-sxm", memory, 100e9), 10);
  EXPECT_EQ(Default("sglang", "h200-sxm", memory, 60.1e9), 1) << "one at least";
  memory.state_bytes = 0;
  EXPECT_EQ(Default("sglang", "h200-sxm", memory, 100e9), 2048) << "no hybrid model";
}

// With prefix hits the cache of prefixes stays on: five states and a cache a request, 0.7 GB, which a pool of 0.5 / 0.2 of the
// caches holds as many of.
TEST_F(RunningLimitTest, PrefixHitsTakeSeveralStates) {
  const MemoryPlan memory{.weights_bytes = 60e9, .sequence_bytes = 0.3e9, .state_bytes = 0.1e9};
  const SystemRelease *sglang = systems_.Find("sglang"), *vllm = systems_.Find("vllm");
  Load load;
  EXPECT_NEAR(RoomOf(sglang, memory, 100e9, load), 40 / 0.3, 1e-9);
  EXPECT_NEAR(StateRatioOf(sglang, memory, 37), 2.5, 1e-12);
  EXPECT_EQ(StateRatioOf(sglang, memory, 2048), 0) << "states are not what limits";
  EXPECT_EQ(StateRatioOf(vllm, memory, 37), 0);
  EXPECT_EQ(StateRatioOf(nullptr, memory, 37), 0);
  load.prefix_hit = 0.5;
  EXPECT_NEAR(RoomOf(sglang, memory, 100e9, load), 40 / 0.7, 1e-9);
  EXPECT_NEAR(RoomOf(vllm, memory, 100e9, load), 40 / 0.3, 1e-9);
  EXPECT_NEAR(RoomOf(nullptr, memory, 100e9, load), 40 / 0.3, 1e-9);
  const MemoryPlan no_state{.weights_bytes = 60e9, .sequence_bytes = 0.3e9};
  EXPECT_NEAR(RoomOf(sglang, no_state, 100e9, load), 40 / 0.3, 1e-9);
}

// The states of a model as it is published: 30 layers of Qwen3.5-35B-A3B with 32 heads of 128 x 128 in fp32 and a convolution.
TEST_F(RunningLimitTest, TheStateOfARequestIsPartOfItsMemory) {
  const char* id = "Qwen/Qwen3.5-35B-A3B";
  const model::ModelSpec spec = *model::SpecOf(*model::ModelCatalogue::Builtin()->Find(id), id);
  const MemoryPlan one = PlanMemory(spec, {}, 8192), two = PlanMemory(spec, {2, 1, 1, 1}, 8192);
  EXPECT_NEAR(one.state_bytes, 30 * 32 * 128 * 128 * 4.0, 0.06 * one.state_bytes);
  EXPECT_DOUBLE_EQ(two.state_bytes, one.state_bytes / 2);
  EXPECT_LT(one.state_bytes, one.sequence_bytes);
  const char* dense = "Qwen/Qwen3-30B-A3B";
  EXPECT_EQ(PlanMemory(*model::SpecOf(*model::ModelCatalogue::Builtin()->Find(dense), dense), {}, 8192).state_bytes, 0);
}

TEST_F(RunningLimitTest, TheQuestionGoesFirst) {
  EXPECT_EQ(RunningLimitOf(nullptr, 48, Launch::kTuned, 1024), 48);
  EXPECT_EQ(RunningLimitOf(nullptr, 48, Launch::kDefault, 1024), 48);
  EXPECT_EQ(RunningLimitOf(nullptr, std::nullopt, Launch::kDefault, 1024), 1024);
  EXPECT_EQ(RunningLimitOf(nullptr, std::nullopt, Launch::kTuned, 1024), kNoRunningLimit);
  EXPECT_EQ(RunningLimitOf(nullptr, std::nullopt, Launch::kEither, 1024), kNoRunningLimit);
  const SystemRelease* one = systems_.Find("moe-infinity");
  EXPECT_EQ(RunningLimitOf(one, std::nullopt, Launch::kTuned, 1), 1) << "no launch of it runs more";
  EXPECT_EQ(RunningLimitOf(one, 16, Launch::kTuned, 1), 1);
  EXPECT_EQ(DefaultRunningLimit(nullptr, *devices_.FindDevice("h200-sxm"), {}, 0), kNoRunningLimit) << "nothing is known";
}

TEST_F(RunningLimitTest, AFaultyEntryIsNamed) {
  const auto parsed = SystemSupport::Parse(
      R"({"systems": [{"system": "s", "version": "1", "date": "d", "source": "t", "weights": {}, "running": {"requests": 8}}],
          "models": []})");
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message.find("s: running needs"), std::string::npos) << parsed.error().message;
}

}  // namespace
}  // namespace moecap::planner
