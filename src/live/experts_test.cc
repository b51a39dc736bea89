#include "live/experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "metrics/estimate.h"
#include "routing/estimate.h"

namespace moecap::live {
namespace {

using routing::RoutedExperts;

// `layers` layers, of which those in `moe` have 8 experts, top-2.
model::ModelSpec Model(int layers, std::vector<int> moe) {
  model::ModelSpec spec;
  spec.id = "m";
  spec.layers.resize(static_cast<size_t>(layers));
  for (const int layer : moe) {
    spec.layers[static_cast<size_t>(layer)].ffn.experts = 8;
    spec.layers[static_cast<size_t>(layer)].ffn.top_k = 2;
  }
  return spec;
}

// One MoE layer; a token for each pair.
RoutedExperts Answer(std::vector<uint16_t> ids) {
  RoutedExperts answer;
  answer.rows = static_cast<int64_t>(ids.size()) / 2;
  answer.layers = 1;
  answer.top_k = 2;
  answer.ids = std::move(ids);
  return answer;
}

record::PassRecord Decode(int64_t batch) {
  record::PassRecord pass;
  pass.sequences = {{10, 1, batch}};
  return pass;
}

TEST(Experts, WithoutASampleTheyAreEstimatedWithTheBandOfTheEstimate) {
  const model::ModelSpec spec = Model(2, {0, 1});
  Experts experts(spec, std::nullopt);
  EXPECT_EQ(experts.source(), ExpertSource::kEstimated);
  const auto distinct = experts.Of(Decode(4));
  EXPECT_THAT(distinct.expected, testing::Each(routing::DistinctExpertsBetaBinomial(8, 2, 4)));
  ASSERT_EQ(distinct.variants.size(), 2u);
  EXPECT_DOUBLE_EQ(distinct.variants[1][0], routing::DistinctExpertsUniform(8, 2, 4)) << "uniform is the most";
  const std::vector<double> totals = {3.0, 6.0};
  const auto band = experts.Band(5, totals);
  EXPECT_EQ(band.low, 3);
  EXPECT_EQ(band.high, 6);
}

TEST(Experts, ASampleIsRarefied) {
  const model::ModelSpec spec = Model(1, {0});
  Experts experts(spec, std::nullopt);
  // 4 tokens: experts 0 and 1 in all of them, or 2 and 3 in the other half.
  for (const std::vector<uint16_t>& ids : {std::vector<uint16_t>{0, 1}, {0, 1}, {2, 3}, {2, 3}})
    ASSERT_TRUE(experts.AddAnswer(Answer(ids)).ok());
  EXPECT_EQ(experts.source(), ExpertSource::kSampled);
  EXPECT_EQ(experts.tokens(), 4);
  // Two of four tokens: an expert of two tokens is missed with 2/4 x 1/3 = 1/6, so 4 x 5/6 are met.
  EXPECT_NEAR(experts.Of(Decode(2)).expected[0], 4 * 5.0 / 6, 1e-12);
  EXPECT_NEAR(experts.Of(Decode(1)).expected[0], 2, 1e-12);
  // Without one answer: three tokens, two of one kind: two of them meet 2 x 1 + 2 x 2/3.
  for (const auto& variant : experts.Of(Decode(2)).variants) EXPECT_NEAR(variant[0], 2 + 2 * 2.0 / 3, 1e-12);
}

TEST(Experts, TheBandIsTheJackknifes) {
  const model::ModelSpec spec = Model(1, {0});
  Experts experts(spec, std::nullopt);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(experts.AddAnswer(Answer({0, 1})).ok());
  // Mean 10, squares 1 + 1 + 4 + 4 = 10, x 3/4, root 2.7386; t of 3 degrees 3.1824.
  const std::vector<double> totals = {9, 11, 8, 12};
  const auto band = experts.Band(10, totals);
  EXPECT_NEAR(band.high - 10, 3.1824463 * std::sqrt(7.5), 1e-5);
  EXPECT_NEAR(10 - band.low, band.high - 10, 1e-12);
}

// The band of a sample of known popularity holds the truth about as often as it says.
TEST(Experts, TheBandHoldsTheTruth) {
  const model::ModelSpec spec = Model(1, {0});
  // Pairs (0,1) of probability 0.7, (2,3) 0.2, (4,5) 0.1: of 3 tokens 2 x (1 - 0.3^3) + 2 x (1 - 0.8^3) + 2 x (1 - 0.9^3).
  const double truth = 2 * (3 - std::pow(0.3, 3) - std::pow(0.8, 3) - std::pow(0.9, 3));
  Rng rng(7);
  int held = 0;
  double sum = 0;
  constexpr int kTrials = 300;
  for (int trial = 0; trial < kTrials; ++trial) {
    Experts experts(spec, std::nullopt);
    for (int answer = 0; answer < 20; ++answer) {
      std::vector<uint16_t> ids;
      for (int token = 0; token < 10; ++token) {
        const double u = rng.Uniform();
        const uint16_t first = u < 0.7 ? 0 : u < 0.9 ? 2 : 4;
        ids.push_back(first);
        ids.push_back(static_cast<uint16_t>(first + 1));
      }
      ASSERT_TRUE(experts.AddAnswer(Answer(ids)).ok());
    }
    const auto distinct = experts.Of(Decode(3));
    std::vector<double> totals;
    for (const auto& variant : distinct.variants) totals.push_back(variant[0]);
    const auto band = experts.Band(distinct.expected[0], totals);
    held += band.low <= truth && truth <= band.high;
    sum += distinct.expected[0];
  }
  EXPECT_NEAR(sum / kTrials, truth, 0.01 * truth) << "unbiased";
  EXPECT_GT(held, kTrials * 90 / 100);
  EXPECT_LT(held, kTrials * 99 / 100);
}

TEST(Experts, DenseLayersOfTheAnswerAreLeftOut) {
  const model::ModelSpec spec = Model(3, {1, 2});
  Experts experts(spec, std::nullopt);
  RoutedExperts answer;
  answer.rows = 1;
  answer.layers = 3;
  answer.top_k = 2;
  answer.ids = {0, 0, 4, 5, 6, 7};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(experts.AddAnswer(answer).ok());
  EXPECT_EQ(experts.Of(Decode(1)).expected, (std::vector<double>{2, 2}));
  answer.layers = 1;
  EXPECT_THAT(experts.AddAnswer(answer).error().message, testing::HasSubstr("1 layers, but m has 3"));
  EXPECT_THAT(experts.AddAnswer(Answer({0, 9})).error().message, testing::HasSubstr("1 layers"));
  const model::ModelSpec one = Model(1, {0});
  Experts other(one, std::nullopt);
  EXPECT_THAT(other.AddAnswer(Answer({0, 9})).error().message, testing::HasSubstr("expert 9 of layer 0"));
}

TEST(Experts, ADenseModelHasNone) {
  const model::ModelSpec spec = Model(2, {});
  Experts experts(spec, std::nullopt);
  EXPECT_EQ(experts.source(), ExpertSource::kNone);
  EXPECT_TRUE(experts.Of(Decode(3)).expected.empty());
}

}  // namespace
}  // namespace moecap::live
