// The share of successes in a sequence of outcomes that depend on each other in time: requests of one load test, where a queue
// or a batch makes neighbours fail together. Counting them as independent makes intervals far too narrow.
//
// Batch means: the sequence is cut into non-overlapping blocks of equal length, and a t interval is put on the block means.
// Blocks must be longer than the dependence reaches; their length follows from the sequence (BlockLength). The interval is
// united with the exact binomial one of the same counts, so that it is never narrower than independence would allow
// and never "+- 0".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/interval.h"

namespace moecap::stats {

// Fewer blocks support no interval.
inline constexpr int64_t kLeastBlocks = 10;

struct BlockShare {
  int64_t n = 0;
  int64_t successes = 0;
  double share = 0;
  int64_t block_length = 1;  // outcomes a block
  int64_t blocks = 0;
  double effective_n = 0;  // independent outcomes that would tell as much, <= n
  Interval interval;       // of the true share; 0 to 1 when the sequence is too short for kLeastBlocks blocks
};

// `outcomes` are runs of outcomes in time order, e.g. one run a probe; no block spans two runs. Runs may be empty. Null without
// any outcome.
std::optional<BlockShare> ShareInTime(std::span<const std::vector<bool>> runs, double confidence);

}  // namespace moecap::stats
