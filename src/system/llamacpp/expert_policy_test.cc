#include "system/llamacpp/expert_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/rng.h"

namespace moecap::llamacpp {
namespace {
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kLayers = 3, kExperts = 6;

// The same rules the slow way: from the whole history of uses at every decision.
class BruteForce {
 public:
  BruteForce(std::vector<int64_t> bytes, int64_t budget, Eviction eviction)
      : bytes_(std::move(bytes)), budget_(budget), eviction_(eviction) {}

  // Experts that had to be read.
  std::set<std::pair<int, int>> Use(int layer, const std::vector<int>& experts) {
    history_.push_back({layer, {experts.begin(), experts.end()}});
    std::set<std::pair<int, int>> missing;
    for (const int expert : experts) {
      if (!resident_.contains({layer, expert})) missing.insert({layer, expert});
    }
    int64_t bytes = static_cast<int64_t>(missing.size()) * bytes_[static_cast<size_t>(layer)];
    for (const auto& id : resident_) bytes += bytes_[static_cast<size_t>(id.first)];
    while (bytes > budget_) {
      const auto victim = Victim();
      bytes -= bytes_[static_cast<size_t>(victim.first)];
      resident_.erase(victim);
    }
    resident_.insert(missing.begin(), missing.end());
    return missing;
  }
  const std::set<std::pair<int, int>>& resident() const { return resident_; }

 private:
  std::pair<int, int> Victim() const {
    std::pair<int, int> victim{-1, -1};
    std::tuple<double, int64_t> least;
    for (const auto& id : resident_) {
      if (history_.back().first == id.first && history_.back().second.contains(id.second)) continue;
      double share = 0, uses = 0;
      int64_t last = -1;
      for (size_t i = 0; i < history_.size(); ++i) {
        if (history_[i].first != id.first) continue;
        const bool used = history_[i].second.contains(id.second);
        share = share * 15 / 16 + (used ? 1.0 / 16 : 0);
        uses += used ? 1 : 0;
        if (used) last = static_cast<int64_t>(i);
      }
      const int ahead = (id.first - history_.back().first - 1 + kLayers) % kLayers;
      const double worth = eviction_ == Eviction::kLru   ? 0
                           : eviction_ == Eviction::kLfu ? uses
                                                         : (share + 1e-3) * (1 - static_cast<double>(ahead) / kLayers);
      // Powers and repeated products differ in their last bits.
      const std::tuple<double, int64_t> own{std::round(worth * 1e12), last};
      if (victim.first < 0 || own < least) {
        victim = id;
        least = own;
      }
    }
    return victim;
  }

  std::vector<int64_t> bytes_;
  int64_t budget_;
  Eviction eviction_;
  std::vector<std::pair<int, std::set<int>>> history_;
  std::set<std::pair<int, int>> resident_;
};

std::vector<int> Choose(Rng& rng, int most) {
  std::set<int> chosen;
  const uint64_t count = 1 + rng.Below(static_cast<uint64_t>(most));
  while (chosen.size() < count) chosen.insert(static_cast<int>(std::min(rng.Below(kExperts), rng.Below(kExperts))));
  return {chosen.begin(), chosen.end()};
}

TEST(ResidentSet, DecidesAsBruteForceDoes) {
  const std::vector<int64_t> bytes = {10, 14, 10};
  for (const Eviction eviction : {Eviction::kLru, Eviction::kLfu, Eviction::kActivation}) {
    for (const int64_t budget : {28, 45, 90, 130}) {
      ResidentSet set(bytes, kExperts, budget, eviction);
      BruteForce slow(bytes, budget, eviction);
      Rng rng(static_cast<uint64_t>(budget));
      for (int pass = 0; pass < 300; ++pass) {
        for (int layer = 0; layer < kLayers; ++layer) {
          const std::vector<int> experts = Choose(rng, 2);
          const ResidentSet::Change change = set.Use(layer, experts);
          EXPECT_EQ(change.load.size(), slow.Use(layer, experts).size());
          EXPECT_LE(set.resident_bytes(), budget);
          for (int l = 0; l < kLayers; ++l) {
            for (int e = 0; e < kExperts; ++e) {
              ASSERT_EQ(set.Contains(l, e), slow.resident().contains({l, e}))
                  << "policy " << static_cast<int>(eviction) << " budget " << budget << " pass " << pass << " layer " << layer;
            }
          }
        }
      }
    }
  }
}

TEST(ResidentSet, ByHand) {
  const std::vector<int64_t> bytes = {10, 10};
  ResidentSet lru(bytes, 4, 30, Eviction::kLru);
  EXPECT_THAT(lru.Use(0, std::vector{0, 1}).load, ElementsAre(0, 1));
  EXPECT_THAT(lru.Use(1, std::vector{0}).load, ElementsAre(4));
  EXPECT_THAT(lru.Use(0, std::vector{1}).load, IsEmpty());
  const auto change = lru.Use(1, std::vector{3});
  EXPECT_THAT(change.release, ElementsAre(0)) << "used longest ago";
  EXPECT_THAT(change.load, ElementsAre(7));

  ResidentSet lfu(bytes, 4, 30, Eviction::kLfu);
  for (int i = 0; i < 3; ++i) lfu.Use(0, std::vector{0});
  lfu.Use(0, std::vector{1});
  lfu.Use(1, std::vector{2});
  EXPECT_THAT(lfu.Use(1, std::vector{3}).release, ElementsAre(1)) << "of the two used once the older one";

  // Both layers used every expert once: the one whose turn is farther off goes.
  ResidentSet activation(bytes, 4, 20, Eviction::kActivation);
  activation.Use(0, std::vector{0});
  activation.Use(1, std::vector{0});
  EXPECT_THAT(activation.Use(0, std::vector{1}).release, ElementsAre(0));
}

TEST(ResidentSet, TellsWhatFits) {
  const ResidentSet set(std::vector<int64_t>{10, 14}, 4, 30, Eviction::kLru);
  EXPECT_TRUE(set.Fits(2));
  EXPECT_FALSE(set.Fits(3));
  EXPECT_TRUE(ResidentSet(std::vector<int64_t>{10}, 4, 40, Eviction::kLru).Fits(100)) << "a layer has no more than four";
}

TEST(ResidentSet, ExpectsWithoutGivingUpWhatIsInUse) {
  ResidentSet set(std::vector<int64_t>{10, 10}, 4, 40, Eviction::kLru);
  set.Use(1, std::vector{0, 1});
  set.Use(0, std::vector{0, 1});
  // Of layer 1, 0 is there already, 2 and 3 take the place of 1; no room is left for anything else.
  const auto change = set.Expect(1, std::vector{0, 2, 3}, 0);
  EXPECT_THAT(change.load, ElementsAre(6));
  EXPECT_THAT(change.release, ElementsAre(5));
  EXPECT_TRUE(set.Contains(0, 0) && set.Contains(0, 1) && set.Contains(1, 0) && set.Contains(1, 2));
  EXPECT_THAT(set.Use(1, std::vector{0, 2}).load, IsEmpty());
}

TEST(ExpertForecast, FromThePreviousToken) {
  ExpertForecast forecast(2, 4, Prefetch::kPreviousToken);
  EXPECT_THAT(forecast.Observe(0, std::vector{1}), IsEmpty());
  EXPECT_THAT(forecast.Observe(1, std::vector{2, 3}), IsEmpty()) << "nothing follows the last layer";
  EXPECT_THAT(forecast.Observe(0, std::vector{0}), ElementsAre(2, 3));
}

TEST(ExpertForecast, FromThePreviousLayer) {
  ExpertForecast forecast(2, 4, Prefetch::kPreviousLayer);
  for (const auto& [first, second] : {std::pair{0, 2}, {0, 2}, {0, 1}, {3, 1}}) {
    forecast.Observe(0, std::vector{first});
    forecast.Observe(1, std::vector{second});
  }
  EXPECT_THAT(forecast.Observe(0, std::vector{0}), ElementsAre(2)) << "as many as the layer before used";
  EXPECT_THAT(forecast.Observe(0, std::vector{3}), ElementsAre(1));
  EXPECT_THAT(forecast.Observe(0, std::vector{0, 3}), ElementsAre(1, 2));
  EXPECT_THAT(forecast.Observe(0, std::vector{2}), IsEmpty()) << "never seen";
}

TEST(ResidentSet, MoreBudgetReadsLess) {
  int64_t before = INT64_MAX;
  for (const int64_t budget : {20, 60, 100, 180}) {
    ResidentSet set(std::vector<int64_t>{10, 10, 10}, kExperts, budget, Eviction::kLru);
    Rng rng(3);
    int64_t loads = 0;
    for (int pass = 0; pass < 500; ++pass) {
      for (int layer = 0; layer < kLayers; ++layer) loads += std::ssize(set.Use(layer, Choose(rng, 2)).load);
    }
    EXPECT_LT(loads, before);
    before = loads;
  }
  EXPECT_EQ(before, kLayers * kExperts) << "with room for all of them each is read once";
}

}  // namespace
}  // namespace moecap::llamacpp
