#include "accuracy/sequence_ratio.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "accuracy/unicode.h"

namespace moecap::accuracy {
namespace {

constexpr size_t kLongSequence = 200;

struct Block {
  size_t a = 0, b = 0, size = 0;
};
struct Range {
  size_t a_begin, a_end, b_begin, b_end;
};

class Matcher {
 public:
  Matcher(std::u32string_view a, std::u32string_view b) : a_(a), b_(b), run_(b.size() + 1), next_run_(b.size() + 1) {
    for (size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
    if (b.size() < kLongSequence) return;
    std::erase_if(places_, [&](const auto& entry) { return entry.second.size() > b.size() / 100 + 1; });
  }

  // The sum of all blocks.
  size_t Matched() {
    size_t sum = 0;
    std::vector<Range> open{{0, a_.size(), 0, b_.size()}};
    while (!open.empty()) {
      const Range range = open.back();
      open.pop_back();
      const Block block = Longest(range);
      if (block.size == 0) continue;
      sum += block.size;
      if (range.a_begin < block.a && range.b_begin < block.b) open.push_back({range.a_begin, block.a, range.b_begin, block.b});
      const size_t a_end = block.a + block.size, b_end = block.b + block.size;
      if (a_end < range.a_end && b_end < range.b_end) open.push_back({a_end, range.a_end, b_end, range.b_end});
    }
    return sum;
  }

 private:
  // The longest block; of equals the first in a, then the first in b.
  Block Longest(const Range& range) {
    Block best{range.a_begin, range.b_begin, 0};
    std::vector<size_t>* last = &none_;  // the places of b where run_ is not 0
    for (size_t i = range.a_begin; i < range.a_end; ++i) {
      const auto found = places_.find(a_[i]);
      std::vector<size_t>* here = found == places_.end() ? &none_ : &found->second;
      for (const size_t j : *here) {
        if (j < range.b_begin || j >= range.b_end) continue;
        const size_t length = (j > 0 ? run_[j - 1] : 0) + 1;
        next_run_[j] = length;
        if (length > best.size) best = {i + 1 - length, j + 1 - length, length};
      }
      for (const size_t j : *last) run_[j] = 0;
      std::swap(run_, next_run_);
      last = here;
    }
    for (const size_t j : *last) run_[j] = 0;
    return Extended(best, range);
  }

  // Frequent elements start no block but belong to one.
  Block Extended(Block block, const Range& range) const {
    while (block.a > range.a_begin && block.b > range.b_begin && a_[block.a - 1] == b_[block.b - 1]) {
      --block.a, --block.b, ++block.size;
    }
    while (block.a + block.size < range.a_end && block.b + block.size < range.b_end &&
           a_[block.a + block.size] == b_[block.b + block.size]) {
      ++block.size;
    }
    return block;
  }

  std::u32string_view a_, b_;
  std::unordered_map<char32_t, std::vector<size_t>> places_;  // in b, ascending
  std::vector<size_t> run_, next_run_;  // length of the common run that ends at this place of b and the last, this element of a
  std::vector<size_t> none_;
};

}  // namespace

double SequenceRatio(std::u32string_view a, std::u32string_view b) {
  const size_t total = a.size() + b.size();
  if (total == 0) return 1;
  return 2.0 * static_cast<double>(Matcher(a, b).Matched()) / static_cast<double>(total);
}

int FuzzyPercent(std::string_view a, std::string_view b) {
  const std::u32string left = unicode::CodePoints(a), right = unicode::CodePoints(b);
  if (left == right) return 100;
  if (left.empty() || right.empty()) return 0;
  // No more can match than the shorter has: a line of a million characters against a short one needs no search.
  const auto least = static_cast<double>(std::min(left.size(), right.size()));
  if (200 * least / static_cast<double>(left.size() + right.size()) < 0.5) return 0;
  // Python rounds halves to the even neighbour, as nearbyint does.
  return static_cast<int>(std::nearbyint(100 * SequenceRatio(left, right)));
}

}  // namespace moecap::accuracy
