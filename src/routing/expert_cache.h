// What a cache of experts in fast memory would hit, at every capacity, by replaying the order in which experts were used.
//
// Items are the experts of one layer, capacities count experts of that layer. All policies start empty, so the first use of an
// expert is a miss for each of them, and one miss moves one expert across the link.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace moecap::routing {

enum class CachePolicy {
  kStatic,   // keeps the experts used most in this very trace (hindsight); others pass through
  kLru,      // evicts the least recently used
  kLfu,      // evicts the least often used since the start; of equals the least recently used
  kOptimal,  // Belady's choice with the right to pass an expert through: nothing that does not see the future is better
};
inline constexpr std::array<CachePolicy, 4> kCachePolicies = {CachePolicy::kStatic, CachePolicy::kLru, CachePolicy::kLfu,
                                                              CachePolicy::kOptimal};
// "static", "lru", "lfu", "optimal".
std::string_view Name(CachePolicy policy);

struct CacheCurve {
  int64_t accesses = 0;
  int distinct = 0;  // experts used at all: the misses of a cache that holds everything
  // [policy][capacity], capacity 0 .. experts.
  std::array<std::vector<int64_t>, kCachePolicies.size()> hits;

  const std::vector<int64_t>& Hits(CachePolicy policy) const { return hits[static_cast<size_t>(policy)]; }
  // 0..1; 0 when nothing was accessed.
  double HitRate(CachePolicy policy, int capacity) const;
  int64_t Misses(CachePolicy policy, int capacity) const { return accesses - Hits(policy)[static_cast<size_t>(capacity)]; }
};

// `accesses`: expert ids in order of use, each expert of a pass once, each id < experts. One run through the accesses a policy
// gives all capacities, because the contents of a smaller cache are always part of a larger one's (stack algorithms, Mattson
// et al. 1970). Time: accesses x the depth at which experts are found.
CacheCurve SimulateCache(std::span<const uint16_t> accesses, int experts);

}  // namespace moecap::routing
