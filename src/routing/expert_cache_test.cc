#include "routing/expert_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace moecap::routing {
namespace {

using Accesses = std::vector<uint16_t>;

// Every choice at every miss: which held expert to evict, or to pass the new one through.
int64_t BestHits(const Accesses& accesses, size_t at, std::set<uint16_t> held, size_t capacity) {
  if (at == accesses.size()) return 0;
  const uint16_t expert = accesses[at];
  if (held.contains(expert)) return 1 + BestHits(accesses, at + 1, held, capacity);
  int64_t best = BestHits(accesses, at + 1, held, capacity);
  if (held.size() < capacity) {
    std::set<uint16_t> with = held;
    with.insert(expert);
    return std::max(best, BestHits(accesses, at + 1, with, capacity));
  }
  for (const uint16_t victim : held) {
    std::set<uint16_t> with = held;
    with.erase(victim);
    with.insert(expert);
    best = std::max(best, BestHits(accesses, at + 1, with, capacity));
  }
  return best;
}

// A cache of one capacity with the policy spelled out: `score` of a held expert, the lowest leaves.
template <typename Score>
int64_t DirectHits(const Accesses& accesses, size_t capacity, Score score, bool may_pass) {
  std::set<uint16_t> held;
  int64_t hits = 0;
  for (size_t at = 0; at < accesses.size(); ++at) {
    const uint16_t expert = accesses[at];
    if (held.contains(expert)) {
      ++hits;
      continue;
    }
    if (capacity == 0) continue;
    if (held.size() == capacity) {
      const auto lower = [&](uint16_t a, uint16_t b) { return score(a, at) < score(b, at); };
      const uint16_t victim = *std::ranges::min_element(held, lower);
      if (may_pass && lower(expert, victim)) continue;
      held.erase(victim);
    }
    held.insert(expert);
  }
  return hits;
}

Accesses RandomAccesses(std::mt19937& rng, int experts, int length) {
  Accesses accesses;
  std::geometric_distribution<int> pick(0.25);
  while (static_cast<int>(accesses.size()) < length) {
    const int id = pick(rng);
    if (id < experts) accesses.push_back(static_cast<uint16_t>(id));
  }
  return accesses;
}

TEST(ExpertCache, HandComputed) {
  // a b a c a b: LRU of 2: a and b are cold, a hits, c evicts b, a hits, b evicts c.
  const CacheCurve curve = SimulateCache(Accesses{0, 1, 0, 2, 0, 1}, 4);
  EXPECT_EQ(curve.accesses, 6);
  EXPECT_EQ(curve.distinct, 3);
  EXPECT_EQ(curve.Hits(CachePolicy::kLru), (std::vector<int64_t>{0, 0, 2, 3, 3}));
  EXPECT_EQ(curve.Hits(CachePolicy::kOptimal), (std::vector<int64_t>{0, 2, 3, 3, 3}))
      << "of 1: keeps a; of 2: c passes through";
  EXPECT_EQ(curve.Hits(CachePolicy::kStatic), (std::vector<int64_t>{0, 2, 3, 3, 3}));
  EXPECT_DOUBLE_EQ(curve.HitRate(CachePolicy::kLru, 2), 2.0 / 6);
  EXPECT_EQ(curve.Misses(CachePolicy::kLru, 4), 3);
}

TEST(ExpertCache, OptimalIsWhatExhaustiveSearchFinds) {
  std::mt19937 rng(3);
  for (int trial = 0; trial < 60; ++trial) {
    const Accesses accesses = RandomAccesses(rng, 5, 11);
    const CacheCurve curve = SimulateCache(accesses, 5);
    for (size_t capacity = 0; capacity <= 4; ++capacity) {
      ASSERT_EQ(curve.Hits(CachePolicy::kOptimal)[capacity], BestHits(accesses, 0, {}, capacity)) << trial << " " << capacity;
    }
  }
}

TEST(ExpertCache, EveryCapacityEqualsItsOwnSimulation) {
  std::mt19937 rng(4);
  for (int trial = 0; trial < 20; ++trial) {
    const Accesses accesses = RandomAccesses(rng, 12, 300);
    const CacheCurve curve = SimulateCache(accesses, 12);
    const auto last_use = [&](uint16_t id, size_t at) {
      for (size_t i = at; i-- > 0;) {
        if (accesses[i] == id) return static_cast<int64_t>(i);
      }
      return int64_t{-1};
    };
    const auto uses = [&](uint16_t id, size_t at) {
      return std::pair(std::count(accesses.begin(), accesses.begin() + static_cast<std::ptrdiff_t>(at) + 1, id),
                       last_use(id, at));
    };
    const auto next_use = [&](uint16_t id, size_t at) {
      for (size_t i = at + 1; i < accesses.size(); ++i) {
        if (accesses[i] == id) return std::pair(-static_cast<int64_t>(i), 0);
      }
      return std::pair(int64_t{-1} << 40, -static_cast<int>(id));
    };
    for (size_t capacity = 0; capacity <= 12; ++capacity) {
      EXPECT_EQ(curve.Hits(CachePolicy::kLru)[capacity], DirectHits(accesses, capacity, last_use, false)) << capacity;
      EXPECT_EQ(curve.Hits(CachePolicy::kLfu)[capacity], DirectHits(accesses, capacity, uses, false)) << capacity;
      EXPECT_EQ(curve.Hits(CachePolicy::kOptimal)[capacity], DirectHits(accesses, capacity, next_use, true)) << capacity;
    }
  }
}

TEST(ExpertCache, OptimalBoundsEveryPolicyAndAllMeetAtFullCapacity) {
  std::mt19937 rng(5);
  for (int trial = 0; trial < 20; ++trial) {
    const Accesses accesses = RandomAccesses(rng, 40, 2000);
    const CacheCurve curve = SimulateCache(accesses, 40);
    for (const CachePolicy policy : kCachePolicies) {
      for (size_t capacity = 0; capacity <= 40; ++capacity) {
        EXPECT_LE(curve.Hits(policy)[capacity], curve.Hits(CachePolicy::kOptimal)[capacity]) << Name(policy) << " " << capacity;
        if (capacity > 0) {
          EXPECT_GE(curve.Hits(policy)[capacity], curve.Hits(policy)[capacity - 1]);
        }
      }
      EXPECT_EQ(curve.Misses(policy, 40), curve.distinct) << "only first uses miss";
    }
  }
}

TEST(ExpertCache, NothingAccessed) {
  const CacheCurve curve = SimulateCache({}, 3);
  EXPECT_EQ(curve.HitRate(CachePolicy::kLru, 2), 0);
  EXPECT_EQ(curve.distinct, 0);
}

}  // namespace
}  // namespace moecap::routing
