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
  EXPECT_NEAR(BytesThere(Model(), question), (10 * 100 + 50 + 4 * 10 * 2) * kMb, 1) << "the embedding stays with the processor";
  question.placement.gpu_layers = 3;
  EXPECT_NEAR(BytesThere(Model(), question), (3 * 100 + 4 * 3 * 2) * kMb, 1) << "the head goes last";
  question.placement.cpu_experts = 8;
  EXPECT_NEAR(BytesThere(Model(), question), (3 * 100 - 90 + 4 * 3 * 2) * kMb, 1) << "layer 7 is the first there";
  question.placement = {};
  EXPECT_NEAR(BytesThere(Model(), question), (10 * 100 + 100 + 4 * 10 * 2) * kMb, 1);
  question.placement.experts.emplace().budget_bytes = 300'000'000;
  EXPECT_NEAR(BytesThere(Model(), question), (10 * 10 + 300 + 100 + 4 * 10 * 2) * kMb, 1);
}

TEST(WhatFits, AGpuThatIsTooSmallIsToldWhatHasRoom) {
  // 1,130 MB are needed; 95 % of 600 MB are 570.
  const Status status = CheckRoom(Model(), OnGpu(600));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(status.error().message,
              AllOf(HasSubstr("small needs 1.13 GB"), HasSubstr("4 x 1000 tokens"), HasSubstr("CUDA0 has 600 MB free"),
                    HasSubstr("5 of 10 layers (gpu_layers: 5)"),           // 5 x 108
                    HasSubstr("the experts of 3 of 10 (cpu_experts: 7)"),  // 230 + 3 x 90 = 500
                    HasSubstr("all of it in Q6_K"), HasSubstr("(weights: Q6_K)"), Not(HasSubstr("client"))));
}

TEST(WhatFits, FewerClientsWhereOnlyTheCacheIsTooLarge) {
  EXPECT_THAT(WhatFits(Model(), OnGpu(1200, 8)), HasSubstr("4 clients with 1000 tokens"))
      << "1,140 have room for 1,050 + 4 x 20";
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
  // 1,120 MB of weights and cache; logits of 4,096 tokens would be 1,638 MB, of 256 tokens 102, and 95 % of 1,300 are 1,235.
  EXPECT_THAT(WhatFits(model, here), HasSubstr("passes of 256 prompt tokens (batch_tokens: 256)"));
  here.pass_tokens = 0;
  EXPECT_THAT(WhatFits(model, here), Not(HasSubstr("batch_tokens"))) << "not asked";
}

TEST(WhatFits, NothingIsSaidToFitThatDoesNot) {
  EXPECT_THAT(WhatFits(Model(), OnGpu(5)), HasSubstr("nothing of it has room"));
  EXPECT_TRUE(CheckRoom(Model(), OnGpu(1200)).ok());
}

}  // namespace
}  // namespace moecap::app
