#include "planner/load_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/catalogue.h"

namespace moecap::planner {
namespace {

using testing::HasSubstr;

class LoadCostTest : public testing::Test {
 protected:
  Result<LoadCost> Ask(const LoadCostQuestion& question, const char* id = "Qwen/Qwen3-30B-A3B") const {
    const auto models = *model::ModelCatalogue::Builtin();
    return CostOfLoad(question, *model::SpecOf(*models.Find(id), id), {devices_, prices_, multipliers_, systems_});
  }
  static LoadCostQuestion OneH100() {
    LoadCostQuestion question{.devices = {"h100-sxm", 1}};
    question.load = {.input_tokens = 512, .output_tokens = 256};
    return question;
  }

  hardware::Catalogue devices_ = *hardware::Catalogue::Builtin();
  cost::PriceBook prices_ = *cost::PriceBook::Parse(cost::PriceBook::BuiltinText());
  Multipliers multipliers_ = *Multipliers::Builtin();
  SystemSupport systems_ = *SystemSupport::Builtin();
};

// USD 6.98 an hour at one request of 256 tokens a second: 6.98 / 3600 / 256 x 1e6 = 7.574, as was published (7.60 at 0.997/s).
TEST_F(LoadCostTest, APriceByHand) {
  LoadCostQuestion question = OneH100();
  question.usd_per_h = 6.98;
  question.rates = {1, 1000};
  const auto curve = Ask(question);
  ASSERT_TRUE(curve.ok()) << curve.error().message;
  EXPECT_NEAR(*curve->points[0].rent_usd, 7.574, 0.001);
  EXPECT_FALSE(curve->points[0].own_usd) << "only what is paid is known";
  const CostPoint& full = curve->points[1];
  EXPECT_TRUE(full.saturated);
  EXPECT_FALSE(full.keeps);
  EXPECT_DOUBLE_EQ(full.utilisation, 1);
  EXPECT_NEAR(full.served_per_s, curve->greatest_per_s, 1e-9);
  EXPECT_NEAR(curve->spread, curve->greatest_per_s, 1e-9);
  EXPECT_GT(curve->spread, 10) << "published: 20.9";
}

TEST_F(LoadCostTest, IdleTimeIsPaidForAndDrawsItsShare) {
  LoadCostQuestion question = OneH100();
  question.rates = {0.001, 0.01, 1, 5};
  question.idle_power_share = 0;
  const auto none = Ask(question);
  question.idle_power_share = 1;
  const auto all = Ask(question);
  ASSERT_TRUE(none.ok() && all.ok());
  EXPECT_GT(none->points[0].idle_share, 0.99);
  EXPECT_LT(none->points[3].idle_share, 0.01);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(*all->points[i].joules, *all->watts / (question.rates[i] * 256) * 1e6, 1e-3 * *all->points[i].joules);
    EXPECT_LE(*none->points[i].joules, *all->points[i].joules);
    if (i == 0) continue;
    EXPECT_LT(*all->points[i].rent_usd, *all->points[i - 1].rent_usd);
    EXPECT_LT(*all->points[i].own_usd, *all->points[i - 1].own_usd);
  }
  EXPECT_NEAR(*none->points[0].joules, *none->points[1].joules, 0.1 * *none->points[0].joules)
      << "a request costs its own energy where nothing idles at a price";
}

TEST_F(LoadCostTest, MarksWhereATargetBreaks) {
  LoadCostQuestion question = OneH100();
  EXPECT_FALSE(Ask(question)->targets_until_per_s);
  question.targets.tpot_s = 0.03;
  const auto curve = Ask(question);
  ASSERT_TRUE(curve->targets_until_per_s);
  EXPECT_GT(*curve->targets_until_per_s, 0);
  EXPECT_LT(*curve->targets_until_per_s, curve->greatest_per_s);
  EXPECT_EQ(curve->breaks, "TPOT");
  for (const CostPoint& point : curve->points) EXPECT_EQ(point.keeps, point.requests_per_s <= *curve->targets_until_per_s);
  // Beyond saturation the queue grows: a time to the first token would be that of a rate nobody asked about.
  question.rates = {1, 1000};
  const LoadCost beyond = *Ask(question);
  EXPECT_TRUE(beyond.points[0].ttft_s);
  EXPECT_TRUE(beyond.points[1].saturated);
  EXPECT_FALSE(beyond.points[1].ttft_s);
  question.rates.clear();
  question.targets.tpot_s = 10;
  EXPECT_EQ(Ask(question)->breaks, "capacity");
  question.max_running = 1;
  EXPECT_EQ(Ask(question)->breaks, "the running limit");
  EXPECT_EQ(Ask(question)->points.back().idle_share, 0) << "a queue waits, though one request alone runs";
  question.max_running = std::nullopt;
  question.targets.tpot_s = 1e-6;
  EXPECT_NEAR(*Ask(question)->targets_until_per_s, 0, 1e-6);
}

// Twice the time per token serves half as many requests a second, at twice the price of a token.
TEST_F(LoadCostTest, ALaunchThatNobodyTunesServesLess) {
  multipliers_.SetDefaultLaunch({2, 2, {1, 4, "test"}, {1, 4, "test"}});
  LoadCostQuestion question = OneH100();
  question.usd_per_h = 2;
  const auto either = Ask(question);
  question.launch = Launch::kTuned;
  const auto tuned = Ask(question);
  question.launch = Launch::kDefault;
  const auto untuned = Ask(question);
  ASSERT_TRUE(either.ok() && tuned.ok() && untuned.ok());
  EXPECT_NEAR(untuned->greatest_per_s, tuned->greatest_per_s / 2, 1e-9 * tuned->greatest_per_s);
  EXPECT_NEAR(*untuned->points.back().rent_usd, 2 * *tuned->points.back().rent_usd, 1e-9);
  EXPECT_EQ(either->greatest_per_s, tuned->greatest_per_s);
  EXPECT_EQ(either->band.high, 4);
  EXPECT_EQ(untuned->band.high, 2);
  question.system = "llama-server";
  const ErrorBand slow = Ask(question)->band;
  question.launch = Launch::kTuned;
  EXPECT_EQ(Ask(question)->band.high, slow.high) << "one kind of launch";
}

TEST_F(LoadCostTest, CostRefuses) {
  LoadCostQuestion question = OneH100();
  question.rates = {0};
  EXPECT_THAT(Ask(question).error().message, HasSubstr("not possible"));
  question.rates = {};
  EXPECT_THAT(Ask(question, "deepseek-ai/DeepSeek-V3").error().message, HasSubstr("does not fit"));
  EXPECT_THAT(Ask(question, "google/switch-c-2048").error().message, HasSubstr("has no switch_transformers; name another"));
  question.system = "llama-server";
  EXPECT_THAT(Ask(question, "deepseek-ai/DeepSeek-V3").error().message,
              HasSubstr("no weights in fp8; name another system, or"));
}

// Fewer at once serve less, at more a token; the default of a launch that nobody tuned is known.
TEST_F(LoadCostTest, ARunningLimitSaturatesSooner) {
  LoadCostQuestion question = OneH100();
  question.launch = Launch::kTuned;
  const LoadCost open = *Ask(question);
  question.max_running = 8;
  const LoadCost limited = *Ask(question);
  EXPECT_EQ(limited.most_running, 8);
  EXPECT_TRUE(limited.limited);
  EXPECT_FALSE(open.limited);
  EXPECT_LT(limited.greatest_per_s, open.greatest_per_s);
  EXPECT_LT(limited.points.back().tpot_s, open.points.back().tpot_s);
  question.max_running = 0;
  EXPECT_THAT(Ask(question).error().message, HasSubstr("whole number from 1"));
  question = OneH100();
  question.launch = Launch::kDefault;
  question.system = "llama-server";
  EXPECT_EQ(Ask(question)->most_running, 4);
}

TEST_F(LoadCostTest, SaysWhatSglangNeedsForAHybridModel) {
  LoadCostQuestion question = OneH100();
  question.devices = {"h200-sxm", 1};
  question.system = "sglang";
  question.launch = Launch::kTuned;
  const char* hybrid = "Qwen/Qwen3.5-35B-A3B";
  const LoadCost tuned = *Ask(question, hybrid);
  ASSERT_EQ(tuned.notes.size(), 1u);
  EXPECT_THAT(tuned.notes.front(), HasSubstr("--disable-radix-cache"));
  question.load.prefix_hit = 0.5;
  const LoadCost hits = *Ask(question, hybrid);
  EXPECT_LT(hits.most_running, tuned.most_running / 2) << "five states for one";
  EXPECT_THAT(hits.notes.front(), HasSubstr("take a launch with"));
  question.launch = Launch::kDefault;
  EXPECT_TRUE(Ask(question, hybrid)->notes.empty());
}

TEST_F(LoadCostTest, SaysWhereItIsNotKnownWhetherTheSystemHasTheModel) {
  const auto models = *model::ModelCatalogue::Builtin();
  model::ModelSpec spec = *model::SpecOf(*models.Find("Qwen/Qwen3-30B-A3B"), "Qwen/Qwen3-30B-A3B");
  const Ingredients ingredients{devices_, prices_, multipliers_, systems_};
  EXPECT_TRUE(CostOfLoad(OneH100(), spec, ingredients)->notes.empty());
  spec.model_type = "what_comes_next_year";
  const LoadCost cost = *CostOfLoad(OneH100(), spec, ingredients);
  ASSERT_EQ(cost.notes.size(), 1u);
  EXPECT_THAT(cost.notes.front(), HasSubstr("Whether vllm takes this model is not in the catalogue"));
}

}  // namespace
}  // namespace moecap::planner
