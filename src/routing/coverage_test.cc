#include "routing/coverage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "routing/estimate.h"
#include "routing/stability.h"

namespace moecap::routing {
namespace {

using Tokens = std::vector<std::vector<int>>;

std::vector<int64_t> CountsOf(const Tokens& tokens, size_t experts) {
  std::vector<int64_t> counts(experts);
  for (const auto& token : tokens) {
    for (const int id : token) ++counts[static_cast<size_t>(id)];
  }
  return counts;
}

// Every subset of `batch` tokens, one by one.
double MeanOverAllSubsets(const Tokens& tokens, int batch) {
  double sum = 0;
  int subsets = 0;
  for (unsigned chosen = 0; chosen < 1u << tokens.size(); ++chosen) {
    if (__builtin_popcount(chosen) != batch) continue;
    std::set<int> used;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (chosen >> i & 1) used.insert(tokens[i].begin(), tokens[i].end());
    }
    sum += static_cast<double>(used.size());
    ++subsets;
  }
  return sum / subsets;
}

TEST(Rarefaction, IsTheMeanOverAllSubsets) {
  const Tokens tokens = {{0, 1}, {0, 2}, {3, 1}, {0, 4}, {0, 1}, {5, 2}, {0, 1}};
  const std::vector<int64_t> counts = CountsOf(tokens, 8);
  for (int batch = 0; batch <= 7; ++batch) {
    EXPECT_NEAR(DistinctExpertsRarefied(counts, 7, batch), MeanOverAllSubsets(tokens, batch), 1e-12) << batch;
  }
}

TEST(Rarefaction, OfHandComputedCounts) {
  // Two of four tokens use the expert: idle in a pair with probability C(2,2)/C(4,2) = 1/6.
  EXPECT_NEAR(DistinctExpertsRarefied(std::vector<int64_t>{2}, 4, 2), 5.0 / 6, 1e-15);
  EXPECT_DOUBLE_EQ(DistinctExpertsRarefied(std::vector<int64_t>{3, 0, 1}, 3, 3), 2);
}

TEST(Rarefaction, ApproachesThePopularityEstimateInLongTraces) {
  const std::vector<int64_t> counts = {4'000'000, 1'000'000, 500'000, 2'000'000, 500'000};
  const std::vector<double> share(counts.begin(), counts.end());
  for (const int64_t batch : {1, 3, 50, 100, 5000}) {  // short and long products
    EXPECT_NEAR(DistinctExpertsRarefied(counts, 4'000'000, batch),
                DistinctExpertsFromPopularity(share, 2, static_cast<double>(batch)), 1e-3);
  }
}

TEST(EquivalentTokens, InvertsThePopularityEstimate) {
  const std::vector<double> share = {5, 3, 3, 2, 1, 1, 1, 0};
  for (const double tokens : {0.5, 1.0, 2.5, 7.0, 40.0}) {
    const auto found = EquivalentTokens(DistinctExpertsFromPopularity(share, 2, tokens), share, 2);
    ASSERT_TRUE(found.has_value());
    EXPECT_NEAR(*found, tokens, 1e-6 * tokens);
  }
  EXPECT_FALSE(EquivalentTokens(7, share, 2).has_value()) << "all that are ever used";
  EXPECT_FALSE(EquivalentTokens(NAN, share, 2).has_value());
}

TEST(InSequenceExponent, IsRecoveredFromBlocksMadeWithIt) {
  const std::vector<double> share(128, 1.0);
  for (const double exponent : {0.5, 0.66, 1.0}) {
    std::vector<CoveragePoint> blocks;
    for (const double tokens : {1.0, 2.0, 4.0, 8.0, 16.0}) {
      blocks.push_back({static_cast<int64_t>(tokens), 10, DistinctExpertsFromPopularity(share, 8, std::pow(tokens, exponent))});
    }
    EXPECT_NEAR(*FitInSequenceExponent(blocks, share, 8), exponent, 1e-6);
  }
  EXPECT_FALSE(FitInSequenceExponent(std::vector<CoveragePoint>{{1, 5, 8}}, share, 8).has_value());
}

TEST(SplitHalf, HandComputed) {
  const SplitHalf halves = CompareHalves(std::vector<int64_t>{8, 2}, 10, std::vector<int64_t>{6, 4}, 10, 1);
  EXPECT_NEAR(halves.total_variation, 0.2, 1e-15);
  // Rates 0.7 and 0.3: variance 0.21 (1/10 + 1/10), twice, each sqrt(v 2 / pi) / 2.
  EXPECT_NEAR(halves.expected_total_variation, std::sqrt(0.21 * 0.2 * 2 / M_PI), 1e-15);
  EXPECT_EQ(halves.verdict, Stability::kMoreData);
  EXPECT_NEAR(static_cast<double>(halves.tokens_needed), 320, 1) << "20 x (0.2 / 0.05)^2";
}

// The expectation against drawing tokens of 4 distinct experts with given weights.
TEST(SplitHalf, ExpectationAgreesWithSimulation) {
  std::mt19937_64 rng(11);
  const size_t experts = 32;
  const auto draw = [&](int tokens) {
    std::vector<int64_t> counts(experts);
    for (int t = 0; t < tokens; ++t) {
      std::set<size_t> chosen;
      std::vector<double> weights(experts);
      for (size_t i = 0; i < experts; ++i) weights[i] = 1.0 / static_cast<double>(i + 3);
      std::discrete_distribution<size_t> pick(weights.begin(), weights.end());
      while (chosen.size() < 4) chosen.insert(pick(rng));
      for (const size_t id : chosen) ++counts[id];
    }
    return counts;
  };
  double observed = 0, expected = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const SplitHalf halves = CompareHalves(draw(300), 300, draw(500), 500, 4);
    observed += halves.total_variation;
    expected += halves.expected_total_variation;
  }
  EXPECT_NEAR(observed / expected, 1, 0.04);
}

TEST(SplitHalf, Verdicts) {
  const auto verdict = [](int64_t a, int64_t b, int64_t n) {
    return CompareHalves(std::vector<int64_t>{a, n - a}, n, std::vector<int64_t>{b, n - b}, n, 1).verdict;
  };
  EXPECT_EQ(verdict(500'000, 501'000, 1'000'000), Stability::kStable);
  EXPECT_EQ(verdict(500'000, 700'000, 1'000'000), Stability::kShifting);
  EXPECT_EQ(verdict(8, 5, 20), Stability::kMoreData);
}

}  // namespace
}  // namespace moecap::routing
