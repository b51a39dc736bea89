#include "app/what_fits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::app {
namespace {
using model::TensorClass;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr double kMb = 1e6;

// Ten layers of 10 MB beside 90 MB of 9 experts of which a token takes one, and 2 MB of KV cache for 1,000 tokens; embedding
// and head of 50 MB each; F16.
model::ModelSpec Model() {
  model::ModelSpec model;
  model.id = "small";
  model::LayerSpec layer;
  const auto weights = [](double mb) {
    return model::Weights{static_cast<int64_t>(mb * kMb / 2), mb * kMb, static_cast<int64_t>(mb * kMb / 2), mb * kMb};
  };
  layer.weights[TensorClass::kAttention] = weights(10);
  layer.weights[TensorClass::kRoutedExpert] = weights(90);
  layer.ffn.experts = 9;
  layer.ffn.top_k = 1;
  model::KvCacheSpec cache;
  cache.elements = 1000;
  layer.attention.caches.push_back(cache);
  model.layers.assign(10, layer);
  model.ends[TensorClass::kEmbedding] = weights(50);
  model.ends[TensorClass::kHead] = weights(50);
  return model;
}

RoomQuestion OnGpu(double free_mb, int sequences = 4) {
  RoomQuestion question{{}, sequences, 1000, free_mb * kMb};
  question.placement.gpus = {"CUDA0"};
  return question;
}

TEST(WhatFits, BytesByPlacement) {
  RoomQuestion question = OnGpu(0);
  EXPECT_NEAR(BytesThere(Model(), question), (10 * 100 + 50 + 2 * 4 * 10 * 2) * kMb, 1)
      << "the embedding stays with the processor";
  question.placement.gpu_layers = 3;
  EXPECT_NEAR(BytesThere(Model(), question), (3 * 100 + 2 * 4 * 3 * 2) * kMb, 1) << "the head goes last";
  question.placement.cpu_experts = 8;
  EXPECT_NEAR(BytesThere(Model(), question), (3 * 100 - 90 + 2 * 4 * 3 * 2) * kMb, 1) << "layer 7 is the first there";
  question.placement = {};
  EXPECT_NEAR(BytesThere(Model(), question), (10 * 100 + 100 + 2 * 4 * 10 * 2) * kMb, 1);
  question.placement.experts.emplace().budget_bytes = 300'000'000;
  EXPECT_NEAR(BytesThere(Model(), question), (10 * 10 + 300 + 100 + 4 * 10 * 2) * kMb, 1) << "no replay, so one cache";
  model::ModelSpec dense = Model();
  for (auto& layer : dense.layers) layer.ffn.experts = 0;
  question.placement = {};
  EXPECT_NEAR(BytesThere(dense, question), (10 * 100 + 100 + 4 * 10 * 2) * kMb, 1) << "nothing to replay";
}

TEST(WhatFits, AGpuThatIsTooSmallIsToldWhatHasRoom) {
  // 1,210 MB are needed, two caches of 80 MB among them; 95 % of 600 MB are 570.
  const Status status = CheckRoom(Model(), OnGpu(600));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(status.error().message,
              AllOf(HasSubstr("small needs 1.21 GB"), HasSubstr("two KV caches of 4 x 1000 tokens, as its routing is replayed"),
                    HasSubstr("CUDA0 has 600 MB free"),
                    HasSubstr("4 of 10 layers (gpu_layers: 4)"),           // 4 x 116
                    HasSubstr("the experts of 2 of 10 (cpu_experts: 8)"),  // 310 + 2 x 90 = 490
                    HasSubstr("all of it in Q5_0"), HasSubstr("(weights: Q5_0)"), Not(HasSubstr("client"))));
}

TEST(WhatFits, FewerClientsWhereOnlyTheCacheIsTooLarge) {
  EXPECT_THAT(WhatFits(Model(), OnGpu(1200, 8)), HasSubstr("2 clients with 1000 tokens"))
      << "1,140 have room for 1,050 + 2 x 40";
}

TEST(WhatFits, AMachineThatIsTooSmallLeavesExpertsOnDisk) {
  const RoomQuestion here{{}, 1, 1000, 700 * kMb};
  const Status status = CheckRoom(Model(), here);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, AllOf(HasSubstr("this machine has 700 MB free"), HasSubstr("49 % of the experts"),
                                            HasSubstr("experts: {budget: 445 MB}"), Not(HasSubstr("gpu_layers"))));
}

TEST(WhatFits, ShorterPassesWhereTheirBuffersAreTooLarge) {
  model::ModelSpec model = Model();
  model.vocab = 100'000;
  RoomQuestion here{{}, 1, 1000, 1300 * kMb, 4096};
  // 1,140 MB of weights and caches; logits of 4,096 tokens would be 1,638 MB, of 64 tokens 26, each twice, and 95 % of 1,300
  // are 1,235.
  EXPECT_THAT(WhatFits(model, here), HasSubstr("passes of 64 prompt tokens (batch_tokens: 64)"));
  here.pass_tokens = 0;
  EXPECT_THAT(WhatFits(model, here), Not(HasSubstr("batch_tokens"))) << "not asked";
}

TEST(WhatFits, NothingIsSaidToFitThatDoesNot) {
  EXPECT_THAT(WhatFits(Model(), OnGpu(5)), HasSubstr("nothing of it has room"));
  EXPECT_TRUE(CheckRoom(Model(), OnGpu(1250)).ok());
}

}  // namespace
}  // namespace moecap::app
