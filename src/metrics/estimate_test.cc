#include "metrics/estimate.h"

#include <gtest/gtest.h>

#include "model/open_model.h"

namespace moecap::metrics {
namespace {

record::PassRecord Pass(int64_t sequences) {
  record::PassRecord pass;
  pass.kind = record::PassKind::kDecode;
  pass.latency_s = 0.01;
  pass.sequences = {{1000, 1, sequences}};
  return pass;
}

TEST(ExpertEstimate, FillsOnlyPassesThatKnowNothing) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  std::vector<record::PassRecord> passes = {Pass(16), Pass(16)};
  passes[1].distinct_experts = {30};
  EXPECT_EQ(FillDistinctExperts(*model, {}, passes), 1);
  EXPECT_EQ(passes[0].distinct_experts.size(), 48U);
  EXPECT_EQ(passes[0].distinct_experts_source, record::Source::kEstimated);
  EXPECT_EQ(passes[1].distinct_experts.size(), 1U);
  EXPECT_EQ(FillDistinctExperts(*model, {}, passes), 0);
}

TEST(ExpertEstimate, TheBandHoldsTheDefault) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  for (const int64_t new_tokens : {1, 512}) {
    const auto estimate = [&](const ExpertEstimate& settings) {
      std::vector<record::PassRecord> passes = {Pass(16)};
      passes[0].sequences[0].new_tokens = new_tokens;
      FillDistinctExperts(*model, settings, passes);
      return passes[0].distinct_experts[0];
    };
    EXPECT_LT(estimate(kFewestExperts), estimate({}));
    EXPECT_LT(estimate({}), estimate(kMostExperts));
  }
}

}  // namespace
}  // namespace moecap::metrics
