#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "routing/estimate.h"
#include "routing/statistics.h"

namespace moecap::routing {
namespace {

struct Golden {
  double experts, top_k, tokens, cv, distinct;
};

TEST(Estimate, UniformMatchesPublishedValuesToTheirLastDigit) {
  for (const Golden& g : std::vector<Golden>{{8, 2, 4, 0, 5.5},
                                             {8, 2, 8, 0, 7.2},
                                             {8, 2, 32, 0, 8.0},
                                             {128, 4, 4, 0, 15.3},
                                             {128, 4, 8, 0, 28.7},
                                             {128, 4, 32, 0, 81.7},
                                             {128, 4, 128, 0, 125.8},
                                             {128, 8, 4, 0, 29.1},
                                             {128, 8, 8, 0, 51.6},
                                             {128, 8, 32, 0, 111.8},
                                             {256, 8, 8, 0, 57.4},
                                             {256, 8, 32, 0, 163.3},
                                             {384, 8, 4, 0, 31.0},
                                             {384, 8, 128, 0, 358.1},
                                             {512, 10, 4, 0, 38.8},
                                             {512, 10, 128, 0, 471.0}}) {
    EXPECT_NEAR(DistinctExpertsUniform(g.experts, g.top_k, g.tokens), g.distinct, 0.05)
        << g.experts << "/" << g.top_k << " B=" << g.tokens;
  }
}

TEST(Estimate, BetaBinomialMatchesPublishedValues) {
  for (const Golden& g : std::vector<Golden>{{256, 8, 8, .5, 56.0},
                                             {256, 8, 8, 1, 52.2},
                                             {256, 8, 32, .5, 152.4},
                                             {256, 8, 32, 1, 128.4},
                                             {256, 8, 64, .5, 206.2},
                                             {256, 8, 64, 1, 170.1},
                                             {128, 4, 32, .5, 76.2},
                                             {128, 4, 32, 1, 64.2},
                                             {64, 6, 32, .5, 57.4},
                                             {64, 6, 32, 1, 47.0},
                                             {512, 10, 64, .5, 340.9},
                                             {512, 10, 64, 1, 284.6}}) {
    EXPECT_NEAR(DistinctExpertsBetaBinomial(g.experts, g.top_k, g.tokens, g.cv), g.distinct, 0.05)
        << g.experts << " B=" << g.tokens << " cv " << g.cv;
  }
}

TEST(Estimate, StaysBetweenTopKAndTheUniformValueAndGrowsWithTheBatch) {
  for (const double experts : {8.0, 60.0, 128.0, 512.0}) {
    for (const double top_k : {1.0, 2.0, 7.5}) {
      for (const double cv : {0.0, 1e-4, 0.3, 0.5, 1.0, 3.0, 50.0}) {
        double before = 0;
        for (const double tokens : {1.0, 2.0, 7.0, 64.0, 4096.0, 1e7}) {
          const double distinct = DistinctExpertsBetaBinomial(experts, top_k, tokens, cv);
          EXPECT_GE(distinct, top_k - 1e-9);
          EXPECT_LE(distinct, DistinctExpertsUniform(experts, top_k, tokens) + 1e-9);
          EXPECT_GE(distinct, before - 1e-6) << experts << " " << top_k << " " << cv << " " << tokens;
          before = distinct;
        }
      }
    }
  }
}

TEST(Estimate, EdgesAreExact) {
  EXPECT_DOUBLE_EQ(DistinctExpertsUniform(128, 8, 1), 8);
  EXPECT_DOUBLE_EQ(DistinctExpertsUniform(128, 8, 0), 0);
  EXPECT_DOUBLE_EQ(DistinctExpertsUniform(8, 8, 3), 8);
  EXPECT_DOUBLE_EQ(DistinctExpertsUniform(0, 0, 3), 0);
  EXPECT_DOUBLE_EQ(DistinctExpertsBetaBinomial(128, 8, 1, 1), 8);
  EXPECT_DOUBLE_EQ(EffectiveTokens(std::vector<double>{1, 1, 1}, kInSequenceExponent), 3);
  EXPECT_NEAR(EffectiveTokens(std::vector<double>{512}, 0.6), std::pow(512, 0.6), 1e-12);
}

TEST(Estimate, PopularityOfEvenSharesIsUniform) {
  const std::vector<double> even(64, 1.0);
  EXPECT_NEAR(DistinctExpertsFromPopularity(even, 6, 20), DistinctExpertsUniform(64, 6, 20), 1e-9);
  std::vector<double> hot(64, 0.0);
  hot[3] = 5;
  hot[9] = 5;
  EXPECT_DOUBLE_EQ(DistinctExpertsFromPopularity(hot, 2, 100), 2) << "two experts that take every token";
  EXPECT_DOUBLE_EQ(DistinctExpertsFromPopularity(std::vector<double>(4, 0.0), 2, 100), 0);
}

// The formula against drawing: each token picks each expert by itself with its own rate.
TEST(Estimate, PopularityAgreesWithSimulation) {
  std::mt19937_64 rng(7);
  const std::vector<double> share = {8, 4, 2, 1, 1, 1, 1, 1, 1, 0};
  const double top_k = 2;
  const int tokens = 6;
  double sum = 0;
  for (const double part : share) sum += part;
  std::uniform_real_distribution<double> uniform;
  double seen = 0;
  const int trials = 20000;
  for (int trial = 0; trial < trials; ++trial) {
    std::set<size_t> used;
    for (int token = 0; token < tokens; ++token) {
      for (size_t i = 0; i < share.size(); ++i) {
        if (uniform(rng) < top_k * share[i] / sum) used.insert(i);
      }
    }
    seen += static_cast<double>(used.size());
  }
  EXPECT_NEAR(DistinctExpertsFromPopularity(share, top_k, tokens), seen / trials, 0.03);
}

TEST(Statistics, OfHandComputedCounts) {
  const LayerLoad load = SummarizeLayer(std::vector<int32_t>{4, 4, 0, 0});
  EXPECT_EQ(load.assignments, 8);
  EXPECT_EQ(load.distinct, 2);
  EXPECT_THAT(load.popularity, testing::ElementsAre(0.5, 0.5, 0, 0));
  EXPECT_DOUBLE_EQ(load.entropy_bits, 1);
  EXPECT_DOUBLE_EQ(load.normalized_entropy, 0.5);
  EXPECT_DOUBLE_EQ(load.cv, 1);
  EXPECT_DOUBLE_EQ(load.max_over_mean, 2);
}

TEST(Statistics, EvenAndEmptyLayers) {
  const LayerLoad even = SummarizeLayer(std::vector<int64_t>{3, 3, 3});
  EXPECT_DOUBLE_EQ(even.cv, 0);
  EXPECT_NEAR(even.normalized_entropy, 1, 1e-12);
  EXPECT_DOUBLE_EQ(even.max_over_mean, 1);
  const LayerLoad empty = SummarizeLayer(std::vector<int32_t>{0, 0});
  EXPECT_EQ(empty.assignments, 0);
  EXPECT_THAT(empty.popularity, testing::ElementsAre(0, 0));
  EXPECT_EQ(SummarizeLayer(std::vector<int32_t>{}).experts, 0);
}

TEST(Statistics, AccumulatesRecordsOfDifferentShapes) {
  std::vector<std::vector<int64_t>> total;
  AccumulateCounts({{1, 2}}, total);
  AccumulateCounts({{1, 0, 5}, {7}}, total);
  EXPECT_THAT(total, testing::ElementsAre(testing::ElementsAre(2, 2, 5), testing::ElementsAre(7)));
}

}  // namespace
}  // namespace moecap::routing
