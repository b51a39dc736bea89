#include "planner/expert_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/catalogue.h"

namespace moecap::planner {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ExpertRoomTest : public testing::Test {
 protected:
  Result<ExpertRoom> Find(const char* id, const RoomQuestion& question, const ExpertHits* hits = nullptr) const {
    const auto models = *model::ModelCatalogue::Builtin();
    return FindRoom(question, *model::SpecOf(*models.Find(id), id), {devices_, prices_, multipliers_, systems_}, hits);
  }
  // Caches that serve `share` x capacity of the reads: 1 = as any choice does.
  static ExpertHits Flat(double times) {
    ExpertHits hits;
    hits.experts = 128;
    hits.reads = 1000;
    for (int c = 0; c <= 128; ++c) hits.lru.push_back(std::min(1.0, times * c / 128));
    hits.lfu = hits.pinned = hits.optimal = hits.lru;
    return hits;
  }

  hardware::Catalogue devices_ = *hardware::Catalogue::Builtin();
  cost::PriceBook prices_ = *cost::PriceBook::Parse(cost::PriceBook::BuiltinText());
  Multipliers multipliers_ = *Multipliers::Builtin();
  SystemSupport systems_ = *SystemSupport::Builtin();
};

// First half 0 1 0 1, second half 0 1 2 0.
TEST_F(ExpertRoomTest, HitsOfTheSecondHalfByHand) {
  const std::vector<std::vector<uint16_t>> uses = {{0, 1, 0, 1, 0, 1, 2, 0}};
  const ExpertHits hits = HitsOf(uses, 4);
  EXPECT_EQ(hits.reads, 4);
  EXPECT_THAT(hits.pinned, ElementsAre(0, 0.5, 0.75, 1, 1));
  EXPECT_THAT(hits.lru, ElementsAre(0, 0, 0.5, 0.75, 0.75)) << "of two places 2 takes that of 0; the first use of 2 is a miss";
  EXPECT_DOUBLE_EQ(hits.Best(2), 0.75);
  EXPECT_THAT(hits.optimal, ElementsAre(0, 0.5, 0.75, 1, 1)) << "with 0 there from the start both of its uses hit";
}

// 48 layers x 128 experts x 3 x 2048 x 768 x 2 bytes = 57.98 GB; a layer 1.208 GB.
TEST_F(ExpertRoomTest, LayersAndExpertsThatFitByHand) {
  const auto room = Find("Qwen/Qwen3-30B-A3B", {.devices = {"rtx-4090", 1}, .dram_bytes = 64e9});
  ASSERT_TRUE(room.ok()) << room.error().message;
  EXPECT_NEAR(room->routed_bytes, 48.0 * 128 * 3 * 2048 * 768 * 2, 1);
  const double free_bytes = room->usable_bytes - room->other_bytes;
  const double engine_free = room->usable_bytes - room->engine_other_bytes;
  EXPECT_EQ(room->layers_on_devices, static_cast<int>(engine_free / (128.0 * 3 * 2048 * 768 * 2)));
  EXPECT_LT(room->engine_other_bytes, room->other_bytes) << "llama.cpp has no workspace of gigabytes";
  EXPECT_EQ(room->n_cpu_moe, 48 - room->layers_on_devices);
  EXPECT_EQ(room->cached_experts, static_cast<int>(free_bytes / (48.0 * 3 * 2048 * 768 * 2)));
  EXPECT_NEAR(room->dram_bytes, room->n_cpu_moe * 128.0 * 3 * 2048 * 768 * 2, 1);
  EXPECT_EQ(room->lacking_dram_bytes, 0);
  EXPECT_FALSE(room->cache_helps) << "without a trace nobody knows";
  ASSERT_EQ(room->ways.size(), 3u);
  for (size_t i = 1; i < 3; ++i) EXPECT_LE(room->ways[i - 1].step_s, room->ways[i].step_s);
  const auto two = Find("Qwen/Qwen3-30B-A3B", {.devices = {"rtx-4090", 2}, .dram_bytes = 64e9});
  EXPECT_GT(two->layers_on_devices, room->layers_on_devices);
  const auto poor = Find("Qwen/Qwen3-30B-A3B", {.devices = {"rtx-4090", 1}, .dram_bytes = 16e9});
  EXPECT_NEAR(poor->lacking_dram_bytes, poor->dram_bytes - 0.9 * 16e9, 1);
  EXPECT_EQ(poor->ways.size(), 2u) << "nothing to copy from";
  EXPECT_GT(poor->ways.front().step_s, room->ways.front().step_s);
}

TEST_F(ExpertRoomTest, TheTraceSaysWhetherACacheHelps) {
  const RoomQuestion question{.devices = {"rtx-4090", 1}, .dram_bytes = 64e9};
  const ExpertHits flat = Flat(1.05), hot = Flat(2.4);
  const auto no = Find("Qwen/Qwen3-30B-A3B", question, &flat);
  EXPECT_EQ(no->cache_helps, false);
  EXPECT_THAT(no->why, HasSubstr("no cache helps here"));
  const auto yes = Find("Qwen/Qwen3-30B-A3B", question, &hot);
  EXPECT_EQ(yes->cache_helps, true) << yes->why;
  EXPECT_LT(yes->ways.front().step_s, no->ways.front().step_s);
  const auto served = [](const ExpertRoom& room) {
    for (const RoomWay& way : room.ways) {
      if (way.system == "ktransformers") return way.served;
    }
    return 0.0;
  };
  EXPECT_NEAR(served(*yes), 2.4 * yes->cached_experts / 128, 1e-12);
}

TEST_F(ExpertRoomTest, AllFitOrNothingDoes) {
  const auto all = Find("Qwen/Qwen3-30B-A3B", {.devices = {"h200-sxm", 1}});
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_TRUE(all->AllFit());
  EXPECT_EQ(all->ways.size(), 1u);
  EXPECT_EQ(all->ways.front().name, "--n-cpu-moe 0");
  // llama.cpp has room beside the experts, but takes no fp8; what it takes is named.
  EXPECT_THAT(Find("deepseek-ai/DeepSeek-V3", {.devices = {"rtx-4090", 1}}).error().message,
              testing::AllOf(HasSubstr("takes no weights in fp8"), HasSubstr("llama-server takes q8_0: try --precision q8_0")));
  EXPECT_THAT(Find("deepseek-ai/DeepSeek-V3", {.devices = {"rtx-4090", 1}, .context_tokens = 400000}).error().message,
              HasSubstr("are missing"));
  EXPECT_FALSE(Find("Qwen/Qwen3-30B-A3B", {.devices = {"rtx-9999", 1}}).ok());
}

}  // namespace
}  // namespace moecap::planner
