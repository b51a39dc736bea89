#include "metrics/estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

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

// A sheet of Qwen3-30B-A3B in which the first experts are more popular, of halves that differ by `tv`.
routing::ActivationSheet Sheet(std::optional<double> tv) {
  routing::ActivationSheet sheet{"Qwen3-30B-A3B", "sglang", 128, 8, {}};
  for (int layer = 0; layer < 48; ++layer) {
    routing::SheetLayer row;
    row.layer = layer;
    for (int expert = 0; expert < 128; ++expert) row.popularity.push_back((expert < 32 ? 2.0 : 1.0) / 160);
    row.split_half_tv = tv;
    sheet.layers.push_back(std::move(row));
  }
  return sheet;
}

double Distinct(const model::ModelSpec& model, const ExpertEstimate& estimate, int64_t sequences) {
  std::vector<record::PassRecord> passes = {Pass(sequences)};
  FillDistinctExperts(model, estimate, passes);
  return passes[0].distinct_experts[0];
}

TEST(ExpertEstimate, ASheetsPopularityTakesThePlaceOfTheShape) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  const routing::ActivationSheet sheet = Sheet(0.02);
  ASSERT_TRUE(CheckSheet(*model, sheet).ok());
  // 32 experts with a rate of 8 x 2/160, 96 with half of it.
  EXPECT_NEAR(Distinct(*model, {.sheet = &sheet}, 16), 32 * (1 - std::pow(0.9, 16)) + 96 * (1 - std::pow(0.95, 16)), 1e-9);
  EXPECT_NEAR(Distinct(*model, {.sheet = &sheet}, 1), 8, 1e-9);
}

TEST(ExpertEstimate, TheBandOfASheetIsThatOfItsHalves) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  const auto width = [&](const routing::ActivationSheet* sheet) {
    ExpertEstimate fewest = kFewestExperts, most = kMostExperts;
    fewest.sheet = most.sheet = sheet;
    const double low = Distinct(*model, fewest, 16), middle = Distinct(*model, {.sheet = sheet}, 16),
                 high = Distinct(*model, most, 16);
    EXPECT_LT(low, middle);
    EXPECT_LT(middle, high);
    return high - low;
  };
  const routing::ActivationSheet narrow = Sheet(0.01), wide = Sheet(0.05), unknown = Sheet(std::nullopt);
  EXPECT_LT(width(&narrow), width(&wide));
  EXPECT_LT(width(&wide), width(&unknown));
  EXPECT_EQ(width(&unknown), width(nullptr)) << "the band of the shape, where the halves are not known";
}

TEST(ExpertEstimate, ASheetOfAnotherModelIsRefused) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  const auto refused = [&](routing::ActivationSheet sheet) {
    const Status status = CheckSheet(*model, sheet);
    return status.ok() ? "" : status.error().message;
  };
  routing::ActivationSheet sheet = Sheet(0.1);
  sheet.layers.pop_back();
  EXPECT_THAT(refused(sheet), testing::HasSubstr("47 layers, but Qwen/Qwen3-30B-A3B has 48 with experts"));
  sheet = Sheet(0.1);
  sheet.experts = 64;
  EXPECT_THAT(refused(sheet), testing::HasSubstr("64 experts a layer"));
  sheet = Sheet(0.1);
  sheet.top_k = 4;
  EXPECT_THAT(refused(sheet), testing::HasSubstr("top-4"));
  sheet = Sheet(0.1);
  std::ranges::fill(sheet.layers[3].popularity, 0);
  EXPECT_THAT(refused(sheet), testing::HasSubstr("no tokens in layer 3"));
  sheet = Sheet(0.1);
  std::ranges::fill(sheet.layers[3].popularity, 1e308);
  EXPECT_THAT(refused(sheet), testing::HasSubstr("no recording gives"));
  sheet = Sheet(0.1);
  sheet.layers[47].in_sequence_exponent = -4;
  EXPECT_THAT(refused(sheet), testing::HasSubstr("no recording gives"));
  model::ModelSpec dense;
  dense.layers.resize(48);
  EXPECT_FALSE(CheckSheet(dense, Sheet(0.1)).ok());
}

TEST(ExpertEstimate, AnEstimateIsMadeAnew) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok());
  std::vector<record::PassRecord> passes = {Pass(16), Pass(16)};
  passes[0].distinct_experts = passes[1].distinct_experts = {30};
  passes[0].distinct_experts_source = record::Source::kEstimated;
  EXPECT_EQ(FillDistinctExperts(*model, {}, passes), 1);
  EXPECT_EQ(passes[0].distinct_experts.size(), 48U);
}

}  // namespace
}  // namespace moecap::metrics
