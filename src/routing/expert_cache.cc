#include "routing/expert_cache.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace moecap::routing {
namespace {

// Experts so ordered that the first c are what a cache of capacity c holds.
class PriorityStack {
 public:
  // Puts `expert` in and returns the capacity from which on it was held before, 0 if never. `prefers(a, b)`: keep a rather than
  // b. `forced`: the expert must enter, otherwise it competes like the others.
  template <typename Prefers>
  size_t Access(uint16_t expert, bool forced, Prefers prefers) {
    uint16_t carried = expert;
    for (size_t level = 0; level < stack_.size(); ++level) {
      const uint16_t held = stack_[level];
      if (held == expert) {
        stack_[level] = carried;
        return level + 1;
      }
      if ((forced && level == 0) || prefers(carried, held)) std::swap(stack_[level], carried);
    }
    stack_.push_back(carried);
    return 0;
  }

 private:
  std::vector<uint16_t> stack_;
};

// Hits per depth -> hits per capacity.
std::vector<int64_t> Accumulate(std::vector<int64_t> by_depth) {
  by_depth[0] = 0;  // depth 0: cold
  std::partial_sum(by_depth.begin(), by_depth.end(), by_depth.begin());
  return by_depth;
}

std::vector<int64_t> LruHits(std::span<const uint16_t> accesses, size_t experts) {
  std::vector<int64_t> by_depth(experts + 1);
  std::vector<uint16_t> stack;
  for (const uint16_t expert : accesses) {
    const auto found = std::ranges::find(stack, expert);
    if (found == stack.end()) {
      stack.insert(stack.begin(), expert);
      continue;
    }
    ++by_depth[static_cast<size_t>(found - stack.begin()) + 1];
    std::rotate(stack.begin(), found, found + 1);
  }
  return Accumulate(std::move(by_depth));
}

std::vector<int64_t> LfuHits(std::span<const uint16_t> accesses, size_t experts) {
  std::vector<int64_t> by_depth(experts + 1);
  std::vector<int64_t> uses(experts), last(experts);
  PriorityStack stack;
  int64_t now = 0;
  for (const uint16_t expert : accesses) {
    ++uses[expert];
    last[expert] = ++now;
    ++by_depth[stack.Access(
        expert, true, [&](uint16_t a, uint16_t b) { return uses[a] != uses[b] ? uses[a] > uses[b] : last[a] > last[b]; })];
  }
  return Accumulate(std::move(by_depth));
}

std::vector<int64_t> OptimalHits(std::span<const uint16_t> accesses, size_t experts) {
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> next_use(experts, kNever);
  std::vector<int64_t> next_of_access(accesses.size());
  for (size_t i = accesses.size(); i-- > 0;) {
    next_of_access[i] = next_use[accesses[i]];
    next_use[accesses[i]] = static_cast<int64_t>(i);
  }
  std::vector<int64_t> by_depth(experts + 1);
  PriorityStack stack;
  for (size_t i = 0; i < accesses.size(); ++i) {
    next_use[accesses[i]] = next_of_access[i];
    ++by_depth[stack.Access(accesses[i], false, [&](uint16_t a, uint16_t b) {
      return next_use[a] != next_use[b] ? next_use[a] < next_use[b] : a < b;
    })];
  }
  return Accumulate(std::move(by_depth));
}

// The c experts used most hit on every use but their first.
std::vector<int64_t> StaticHits(std::span<const uint16_t> accesses, size_t experts) {
  std::vector<int64_t> uses(experts);
  for (const uint16_t expert : accesses) ++uses[expert];
  std::ranges::sort(uses, std::greater());
  std::vector<int64_t> hits(experts + 1);
  for (size_t c = 0; c < experts; ++c) hits[c + 1] = hits[c] + std::max<int64_t>(0, uses[c] - 1);
  return hits;
}

}  // namespace

std::string_view Name(CachePolicy policy) {
  switch (policy) {
    case CachePolicy::kStatic:
      return "static";
    case CachePolicy::kLru:
      return "lru";
    case CachePolicy::kLfu:
      return "lfu";
    case CachePolicy::kOptimal:
      return "optimal";
  }
  return "";
}

double CacheCurve::HitRate(CachePolicy policy, int capacity) const {
  if (accesses == 0) return 0;
  return static_cast<double>(Hits(policy)[static_cast<size_t>(capacity)]) / static_cast<double>(accesses);
}

CacheCurve SimulateCache(std::span<const uint16_t> accesses, int experts) {
  CHECK(experts >= 0 && std::ranges::all_of(accesses, [experts](uint16_t id) { return id < experts; }));
  const auto count = static_cast<size_t>(experts);
  CacheCurve curve;
  curve.accesses = static_cast<int64_t>(accesses.size());
  std::vector<bool> seen(count);
  for (const uint16_t expert : accesses) seen[expert] = true;
  curve.distinct = static_cast<int>(std::ranges::count(seen, true));
  curve.hits[static_cast<size_t>(CachePolicy::kStatic)] = StaticHits(accesses, count);
  curve.hits[static_cast<size_t>(CachePolicy::kLru)] = LruHits(accesses, count);
  curve.hits[static_cast<size_t>(CachePolicy::kLfu)] = LfuHits(accesses, count);
  curve.hits[static_cast<size_t>(CachePolicy::kOptimal)] = OptimalHits(accesses, count);
  return curve;
}

}  // namespace moecap::routing
