#include "routing/expert_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"
#include "routing/testing/rank_loads.h"

namespace moecap::routing {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ExpertPlacement, LoadsOfRanksByHand) {
  const std::vector<double> load = {8, 4, 2, 6};
  EXPECT_THAT(RankLoads(LinearPlacement(4, 2), load), ElementsAre(12, 8));
  EXPECT_THAT(RankLoads(RoundRobinPlacement(4, 2), load), ElementsAre(10, 10));
  // Expert 0 on both ranks: 4 each; 4 + 4 + 2 against 4 + 6 + 0.
  const ExpertPlacement twice{2, {0, 1, 2, 0, 3, 3}};
  EXPECT_THAT(RankLoads(twice, load), ElementsAre(10, 10));
  EXPECT_THAT(twice.Replicas(4), ElementsAre(2, 1, 1, 2));
  EXPECT_THAT(MaxOverMean(std::vector<double>{12, 8}), DoubleEq(1.2));
  EXPECT_THAT(MaxOverMean(std::vector<double>{0, 0}), DoubleEq(1));
}

// Eight experts on two ranks with two redundant: 100 gets a second replica (50), then 60 (30). Packed: 50 50 | 40 30 30 ...
TEST(ExpertPlacement, TheHeaviestAreReplicatedAndThePacksEven) {
  const std::vector<double> load = {100, 60, 40, 20, 10, 10, 5, 5};
  const ExpertPlacement placement = BalanceExperts(load, {.ranks = 2, .places = 10});
  EXPECT_THAT(placement.Replicas(8), ElementsAre(2, 2, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(RankLoads(placement, load), ElementsAre(125, 125));
  EXPECT_EQ(placement.PlacesPerRank(), 5);
}

// Groups stay on one node: {90, 10} and {80, 20} cannot be parted, although 90 + 20 and 80 + 10 ... would be no better.
TEST(ExpertPlacement, GroupsStayOnANode) {
  const std::vector<double> load = {90, 10, 80, 20, 1, 1, 1, 1};
  const PlacementShape shape{.ranks = 4, .places = 8, .nodes = 2, .groups = 4};
  const ExpertPlacement placement = BalanceExperts(load, shape);
  for (int group = 0; group < 4; ++group) {
    const auto node = [&](int expert) {
      const auto at = std::find(placement.expert_of.begin(), placement.expert_of.end(), expert) - placement.expert_of.begin();
      return at / 4;
    };
    EXPECT_EQ(node(2 * group), node(2 * group + 1)) << group;
  }
}

TEST(ExpertPlacement, ShapesThatDoNotDivideAreRefused) {
  EXPECT_THAT(CheckShape({.ranks = 8, .places = 130}, 128).error().message, HasSubstr("multiple of 8"));
  EXPECT_THAT(CheckShape({.ranks = 8, .places = 120}, 128).error().message, HasSubstr("cannot hold"));
  EXPECT_THAT(CheckShape({.ranks = 8, .places = 128, .nodes = 3}, 128).error().message, HasSubstr("3 nodes"));
  EXPECT_THAT(CheckShape({.ranks = 8, .places = 128, .groups = 5}, 128).error().message, HasSubstr("5 equal groups"));
  EXPECT_TRUE(CheckShape({.ranks = 8, .places = 136, .nodes = 2, .groups = 8}, 128).ok());
}

// The loads of tools/oracle_clients/eplb_values.py.
std::vector<double> LoadsOf(uint64_t seed, int experts, int skew) {
  Rng rng(seed);
  std::vector<double> loads;
  for (int expert = 0; expert < experts; ++expert) {
    const uint64_t x = rng.Next() % 1000;
    uint64_t power = skew < 2 ? 1000 : 1;  // x^skew 1000^2 / 1000^skew
    for (int i = 0; i < skew; ++i) power *= x;
    for (int i = 2; i < skew; ++i) power /= 1000;
    loads.push_back(1 + static_cast<double>(power));
  }
  return loads;
}

TEST(ExpertPlacement, NeverWorseThanThePublishedBalancer) {
  const auto text = ReadFile(MOECAP_SOURCE_DIR "/tests/golden/eplb.json");
  ASSERT_TRUE(text.ok());
  const Json golden = *ParseJson(*text);
  ASSERT_EQ(golden["traces"].size(), 100u);
  int better = 0;
  for (const Json& trace : golden["traces"]) {
    const int experts = trace["experts"].get<int>();
    const std::vector<double> load = LoadsOf(trace["seed"].get<uint64_t>(), experts, trace["skew"].get<int>());
    double total = 0;
    for (const double each : load) total += each;
    ASSERT_EQ(total, trace["total"].get<double>()) << "other loads than the reference had";
    const PlacementShape shape{trace["ranks"].get<int>(), trace["places"].get<int>(), trace["nodes"].get<int>(),
                               trace["groups"].get<int>()};
    ASSERT_TRUE(CheckShape(shape, experts).ok());
    const ExpertPlacement placement = BalanceExperts(load, shape);
    const std::vector<int> replicas = placement.Replicas(experts);
    EXPECT_GE(*std::min_element(replicas.begin(), replicas.end()), 1) << "every expert lies somewhere";
    const std::vector<double> ranks = RankLoads(placement, load);
    const double heaviest = *std::max_element(ranks.begin(), ranks.end());
    EXPECT_LE(heaviest, trace["heaviest_rank"].get<double>() * (1 + 1e-9)) << trace.dump();
    better += heaviest < trace["heaviest_rank"].get<double>() * (1 - 1e-6);
  }
  RecordProperty("better", better);
  EXPECT_GT(better, 50);
}

// All placements of six experts on three ranks of two: none is better.
TEST(ExpertPlacement, SmallCasesAgainstEveryPlacement) {
  Rng rng(7);
  int optimal = 0;
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<double> load(6);
    for (double& each : load) each = static_cast<double>(1 + rng.Below(100));
    ExpertPlacement any{3, {0, 1, 2, 3, 4, 5}};
    double best = 1e300;
    do {
      const std::vector<double> ranks = RankLoads(any, load);
      best = std::min(best, *std::max_element(ranks.begin(), ranks.end()));
    } while (std::next_permutation(any.expert_of.begin(), any.expert_of.end()));
    const std::vector<double> ranks = RankLoads(BalanceExperts(load, {.ranks = 3, .places = 6}), load);
    const double found = *std::max_element(ranks.begin(), ranks.end());
    EXPECT_GE(found, best);
    EXPECT_LE(found, best * 1.2);
    optimal += found == best;
  }
  EXPECT_GE(optimal, 45);
}

}  // namespace
}  // namespace moecap::routing
