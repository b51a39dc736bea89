#include "planner/disaggregation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/catalogue.h"

namespace moecap::planner {
namespace {

using testing::HasSubstr;

class DisaggregationTest : public testing::Test {
 protected:
  Result<Apart> Ask(const char* id, const ApartQuestion& question) const {
    const auto models = *model::ModelCatalogue::Builtin();
    return JudgeApart(question, *model::SpecOf(*models.Find(id), id), {devices_, prices_, multipliers_, systems_});
  }
  static ApartQuestion LongPrompts() {
    ApartQuestion question{.devices = {"h100-sxm", 16}};
    question.load = {.input_tokens = 8000, .output_tokens = 300};
    question.targets = {.tpot_s = 0.02, .ttft_s = 3.0};
    return question;
  }

  // A prompt costs the same alone and among answers, so that the targets alone speak for two pools.
  DisaggregationTest() { multipliers_.Set("prefill_time", multipliers_.Find("interference_time")->value, 0, "test"); }

  hardware::Catalogue devices_ = *hardware::Catalogue::Builtin();
  cost::PriceBook prices_ = *cost::PriceBook::Parse(cost::PriceBook::BuiltinText());
  Multipliers multipliers_ = *Multipliers::Builtin();
  SystemSupport systems_ = *SystemSupport::Builtin();
};

// s = 0.1 and a wait of 0.05: rho = 0.5, for 0.5 x 0.1 / (2 x 0.5) = 0.05; so 5 a second.
TEST_F(DisaggregationTest, RateOfAQueueByHand) {
  EXPECT_NEAR(PromptRate(0.1, 0.05), 5, 1e-12);
  EXPECT_EQ(PromptRate(0.1, 0), 0);
  EXPECT_EQ(PromptRate(0.1, -1), 0);
  EXPECT_NEAR(PromptRate(0.1, 1e9), 10, 1e-6) << "never more than one after another";
}

TEST_F(DisaggregationTest, DividesWholeReplicasWithinTheTargets) {
  const auto apart = Ask("openai/gpt-oss-120b", LongPrompts());
  ASSERT_TRUE(apart.ok()) << apart.error().message;
  ASSERT_GT(apart->apart_per_s, 0);
  EXPECT_LE(apart->prompt_replicas * apart->prompts.Devices() + apart->answer_replicas * apart->answers.Devices(), 16);
  const auto rates = [&](const metrics::Deployment& deployment) {
    for (const PoolRates& pool : apart->pools) {
      if (pool.deployment == deployment) return pool;
    }
    return PoolRates{};
  };
  EXPECT_DOUBLE_EQ(apart->apart_per_s,
                   std::min(static_cast<double>(apart->prompt_replicas) * rates(apart->prompts).prompts_per_s,
                            static_cast<double>(apart->answer_replicas) * rates(apart->answers).answers_per_s));
  for (const PoolRates& pool : apart->pools) {
    EXPECT_LE(pool.together_per_s, pool.answers_per_s * 1.001) << "prompts never speed up answers";
  }
  EXPECT_LE(apart->gain_low, apart->gain);
  EXPECT_GE(apart->gain_high, apart->gain);
  // 36 layers x 2 x 8 heads x 64 x 2 bytes; every second layer keeps 128 tokens only.
  EXPECT_NEAR(apart->kv_bytes, 18 * (8000.0 + 128) * 2 * 8 * 64 * 2, 0.05 * apart->kv_bytes);
}

TEST_F(DisaggregationTest, ATighterSpeedFavoursTwoPools) {
  ApartQuestion question = LongPrompts();
  const auto tight = Ask("openai/gpt-oss-120b", question);
  question.targets.tpot_s = 0.2;
  const auto loose = Ask("openai/gpt-oss-120b", question);
  EXPECT_GT(tight->gain, loose->gain);
  EXPECT_FALSE(loose->better) << loose->gain;
  EXPECT_THAT(loose->why, HasSubstr("not here, because"));
}

TEST_F(DisaggregationTest, ASlowLinkOrNothingToDivide) {
  ApartQuestion question = LongPrompts();
  question.devices = {"rtx-4090", 4};
  question.targets = {.tpot_s = 0.05, .ttft_s = 2.0};
  const auto slow = Ask("openai/gpt-oss-20b", question);
  ASSERT_TRUE(slow.ok()) << slow.error().message;
  EXPECT_GT(slow->transfer_s, 0);
  question.devices = {"h100-sxm", 1};
  EXPECT_THAT(Ask("openai/gpt-oss-20b", question).error().message, HasSubstr("two at least"));
  question.devices = {"h100-sxm", 2};
  EXPECT_THAT(Ask("deepseek-ai/DeepSeek-V3", question).error().message, HasSubstr("does not fit"));
  question.system = "trtllm";
  EXPECT_THAT(Ask("deepseek-ai/DeepSeek-V4-Flash", question).error().message, HasSubstr("has no deepseek_v4 on H100"));
  question.targets = {};
  EXPECT_THAT(Ask("openai/gpt-oss-20b", question).error().message, HasSubstr("without a target"));
}

}  // namespace
}  // namespace moecap::planner
