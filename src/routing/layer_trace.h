// Everything that is counted while the routing of one layer streams by, and the profile computed from it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "routing/coverage.h"
#include "routing/stability.h"
#include "routing/statistics.h"

namespace moecap::routing {

struct LayerTraceOptions {
  int blocks_up_to = 1024;  // longest block of consecutive tokens of a sequence, a power of two
  // Pairs are counted for the first so many rows of a layer, and for every 16th row after them.
  int64_t dense_pair_rows = int64_t{1} << 16;
  size_t top_pairs = 10;
  size_t cache_accesses = 0;  // how many expert uses to keep for SimulateCache
};

// Two experts that one token uses together.
struct ExpertPair {
  int first = 0, second = 0;
  double share = 0;  // of the tokens that use both
  double lift = 0;   // share / (rate of first x rate of second); 1 = independent
};

struct LayerProfile {
  LayerLoad load;
  std::vector<int64_t> counts;    // tokens per expert
  std::optional<int64_t> tokens;  // rows seen; null when only counts are known and the experts per token are not

  std::vector<CoveragePoint> decode_passes;  // distinct experts of real decode passes, by tokens in the pass
  std::vector<CoveragePoint> blocks;         // of 1, 2, 4, ... consecutive tokens of one sequence
  std::optional<double> in_sequence_exponent;

  // Share of a token's experts that the token before it in its sequence used too, and what independent tokens would share:
  // sum r_i^2 / k. Null without neighbours.
  std::optional<double> overlap;
  double independent_overlap = 0;

  int64_t pair_rows = 0;          // rows in which pairs were counted
  std::vector<ExpertPair> pairs;  // most frequent first

  std::optional<SplitHalf> halves;  // null with fewer than two blocks of tokens
};

// Feed tokens in the order in which the engine ran them. Not for several threads.
class LayerTrace {
 public:
  static constexpr size_t kNoSequence = SIZE_MAX;

  // 1 <= experts <= 1024; top_k 0 = not known (only AddCounts then).
  LayerTrace(int experts, int top_k, const LayerTraceOptions& options = {});

  // The sequence in slot `slot` ended; a new one begins there.
  void StartSequence(size_t slot);
  // The experts of one token, distinct and below `experts`. `slot` < 65536 names its sequence, kNoSequence: not known.
  void AddToken(std::span<const uint16_t> ids, size_t slot);
  // Ends a pass: its distinct experts become uses of the cache, and, for a decode pass, a point of the coverage.
  void EndPass(bool decode);
  // A pass, or with `one_pass` false a sum over many, of which only the tokens per expert are known. Requires
  // counts.size() == experts and no count below 0.
  void AddCounts(std::span<const int64_t> counts, bool one_pass, bool decode);

  LayerProfile Profile() const;
  std::span<const uint16_t> cache_accesses() const { return accesses_; }
  // Whether uses were left out because there were more than options.cache_accesses.
  bool cache_cut() const { return cache_cut_; }

 private:
  struct Sequence {
    std::vector<uint64_t> pending;  // per level and word, an unfinished block of 2^level tokens
    uint32_t filled = 0;            // bit per level
    std::vector<uint64_t> previous;
    bool has_previous = false;
  };
  struct Sum {
    int64_t samples = 0;
    int64_t distinct = 0;
  };

  void AddToSequence(Sequence& sequence);
  void AddPairs(std::span<const uint16_t> ids);
  void KeepSegment();
  void LogAccess(size_t expert);
  std::vector<ExpertPair> TopPairs() const;
  std::optional<SplitHalf> Halves() const;

  int experts_;
  int top_k_;
  LayerTraceOptions options_;
  size_t words_;
  size_t levels_;

  std::vector<int64_t> counts_;
  int64_t rows_ = 0;
  std::vector<uint64_t> mask_;  // of the token being added
  std::vector<uint64_t> pass_mask_;
  int64_t pass_rows_ = 0;
  std::map<int64_t, Sum> decode_passes_;

  std::vector<Sequence> sequences_;
  std::vector<Sum> blocks_;  // per level
  int64_t overlap_rows_ = 0;
  int64_t overlap_shared_ = 0;

  std::vector<uint32_t> pairs_;  // [earlier in the row][later]
  std::vector<int64_t> pair_counts_;
  int64_t pair_rows_ = 0;

  // Cumulative counts after segment_rows_, 2 segment_rows_, ... rows; halved in number when there are too many.
  struct Snapshot {
    int64_t rows = 0;
    std::vector<int64_t> counts;
  };
  std::vector<Snapshot> snapshots_;
  int64_t segment_rows_ = 1;

  std::vector<uint16_t> accesses_;
  bool cache_cut_ = false;
};

// Distinct experts of `tokens` tokens: as measured, and as the estimators of estimate.h say. What is not known is null.
struct CoverageRow {
  int64_t tokens = 0;
  std::optional<double> decode_passes;                    // mean of the real decode passes of so many tokens
  std::optional<double> blocks;                           // mean of blocks of so many consecutive tokens of a sequence
  std::optional<double> resampled;                        // exact mean over all choices of so many of the trace's tokens
  double uniform = 0, beta_binomial = 0, popularity = 0;  // estimates; the second with the measured CV
};

// One row per power of two up to 1024 or the tokens seen, and one per size of the decode passes if those are at most 40. Empty
// when top_k is 0.
std::vector<CoverageRow> CoverageTable(const LayerProfile& profile, int top_k);

}  // namespace moecap::routing
