#include "routing/layer_trace.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/check.h"
#include "routing/estimate.h"

namespace moecap::routing {
namespace {

constexpr size_t kSnapshots = 64;
constexpr int64_t kPairStride = 16;
constexpr size_t kMostSlots = 65536;

}  // namespace

LayerTrace::LayerTrace(int experts, int top_k, const LayerTraceOptions& options)
    : experts_(experts), top_k_(top_k), options_(options) {
  CHECK(experts >= 1 && experts <= 1024 && top_k >= 0 && top_k <= experts);
  CHECK(std::has_single_bit(static_cast<unsigned>(options.blocks_up_to)));
  words_ = (static_cast<size_t>(experts) + 63) / 64;
  levels_ = static_cast<size_t>(std::countr_zero(static_cast<unsigned>(options.blocks_up_to)));
  counts_.resize(static_cast<size_t>(experts));
  mask_.resize(words_);
  pass_mask_.resize(words_);
  blocks_.resize(levels_ + 1);
}

void LayerTrace::StartSequence(size_t slot) {
  if (slot >= sequences_.size()) return;
  sequences_[slot].filled = 0;
  sequences_[slot].has_previous = false;
}

void LayerTrace::AddToken(std::span<const uint16_t> ids, size_t slot) {
  std::ranges::fill(mask_, 0);
  for (const uint16_t id : ids) {
    CHECK(id < experts_);
    ++counts_[id];
    mask_[id / 64] |= uint64_t{1} << (id % 64);
  }
  for (size_t w = 0; w < words_; ++w) pass_mask_[w] |= mask_[w];
  ++pass_rows_;
  if (slot != kNoSequence) {
    CHECK(slot < kMostSlots);
    if (slot >= sequences_.size()) sequences_.resize(slot + 1);
    AddToSequence(sequences_[slot]);
  }
  if (rows_ < options_.dense_pair_rows || rows_ % kPairStride == 0) AddPairs(ids);
  ++rows_;
  if (snapshots_.empty() || rows_ >= snapshots_.back().rows + segment_rows_) KeepSegment();
}

// Blocks of 2^level tokens by carrying, as a binary counter does.
void LayerTrace::AddToSequence(Sequence& sequence) {
  if (sequence.previous.empty()) {
    sequence.previous.resize(words_);
    sequence.pending.resize(words_ * levels_);
  }
  int64_t own = 0;
  for (size_t w = 0; w < words_; ++w) own += std::popcount(mask_[w]);
  if (sequence.has_previous) {
    ++overlap_rows_;
    for (size_t w = 0; w < words_; ++w) overlap_shared_ += std::popcount(mask_[w] & sequence.previous[w]);
  }
  sequence.previous = mask_;
  sequence.has_previous = true;
  ++blocks_[0].samples;
  blocks_[0].distinct += own;
  for (size_t level = 0; level < levels_; ++level) {
    uint64_t* pending = sequence.pending.data() + level * words_;
    if ((sequence.filled >> level & 1) == 0) {
      std::copy(mask_.begin(), mask_.end(), pending);
      sequence.filled |= uint32_t{1} << level;
      return;
    }
    sequence.filled &= ~(uint32_t{1} << level);
    int64_t distinct = 0;
    for (size_t w = 0; w < words_; ++w) {
      mask_[w] |= pending[w];
      distinct += std::popcount(mask_[w]);
    }
    ++blocks_[level + 1].samples;
    blocks_[level + 1].distinct += distinct;
  }
}

void LayerTrace::AddPairs(std::span<const uint16_t> ids) {
  const auto side = static_cast<size_t>(experts_);
  if (pairs_.empty()) {
    pairs_.resize(side * side);
    pair_counts_.resize(side);
  }
  ++pair_rows_;
  for (size_t i = 0; i < ids.size(); ++i) {
    ++pair_counts_[ids[i]];
    for (size_t j = i + 1; j < ids.size(); ++j) {
      ++pairs_[ids[i] * side + ids[j]];
    }
  }
}

void LayerTrace::KeepSegment() {
  snapshots_.push_back({rows_, counts_});
  if (snapshots_.size() < kSnapshots) return;
  for (size_t i = 1; i < snapshots_.size(); i += 2) snapshots_[i / 2] = std::move(snapshots_[i]);
  snapshots_.resize(snapshots_.size() / 2);
  segment_rows_ = std::max<int64_t>(segment_rows_ * 2, snapshots_.back().rows / static_cast<int64_t>(snapshots_.size()));
}

void LayerTrace::LogAccess(size_t expert) {
  if (accesses_.size() < options_.cache_accesses) {
    accesses_.push_back(static_cast<uint16_t>(expert));
  } else {
    cache_cut_ = true;
  }
}

void LayerTrace::EndPass(bool decode) {
  int64_t distinct = 0;
  for (size_t w = 0; w < words_; ++w) {
    distinct += std::popcount(pass_mask_[w]);
    if (options_.cache_accesses > 0) {
      for (uint64_t rest = pass_mask_[w]; rest != 0; rest &= rest - 1) {
        LogAccess(w * 64 + static_cast<size_t>(std::countr_zero(rest)));
      }
    }
    pass_mask_[w] = 0;
  }
  if (decode && pass_rows_ > 0) {
    Sum& sum = decode_passes_[pass_rows_];
    ++sum.samples;
    sum.distinct += distinct;
  }
  pass_rows_ = 0;
}

void LayerTrace::AddCounts(std::span<const int64_t> counts, bool one_pass, bool decode) {
  CHECK(counts.size() == counts_.size());
  int64_t assignments = 0;
  int64_t distinct = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    CHECK(counts[i] >= 0);
    counts_[i] += counts[i];
    assignments += counts[i];
    if (counts[i] == 0) continue;
    ++distinct;
    if (one_pass && options_.cache_accesses > 0) LogAccess(i);
  }
  if (top_k_ == 0 || assignments == 0) return;
  const int64_t rows = assignments / top_k_;
  rows_ += rows;
  if (one_pass && decode && assignments % top_k_ == 0) {
    Sum& sum = decode_passes_[rows];
    ++sum.samples;
    sum.distinct += distinct;
  }
  if (one_pass && (snapshots_.empty() || rows_ >= snapshots_.back().rows + segment_rows_)) KeepSegment();
}

std::vector<ExpertPair> LayerTrace::TopPairs() const {
  std::vector<ExpertPair> all;
  const auto side = static_cast<size_t>(experts_);
  const auto rows = static_cast<double>(pair_rows_);
  for (size_t a = 0; !pairs_.empty() && a < side; ++a) {
    for (size_t b = a + 1; b < side; ++b) {
      const double together = pairs_[a * side + b] + pairs_[b * side + a];
      if (together == 0) continue;
      const double lift = together * rows / (static_cast<double>(pair_counts_[a]) * static_cast<double>(pair_counts_[b]));
      all.push_back({static_cast<int>(a), static_cast<int>(b), together / rows, lift});
    }
  }
  const size_t kept = std::min(options_.top_pairs, all.size());
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(kept), [](const ExpertPair& a, const ExpertPair& b) {
    if (a.share != b.share) return a.share > b.share;
    return a.first != b.first ? a.first < b.first : a.second < b.second;
  });
  all.resize(kept);
  return all;
}

// The snapshot nearest to the middle cuts the trace.
std::optional<SplitHalf> LayerTrace::Halves() const {
  if (top_k_ == 0 || snapshots_.empty()) return std::nullopt;
  const auto distance = [this](const Snapshot& snapshot) { return std::abs(2 * snapshot.rows - rows_); };
  const auto middle =
      std::ranges::min_element(snapshots_, [&](const Snapshot& a, const Snapshot& b) { return distance(a) < distance(b); });
  if (middle->rows == 0 || middle->rows >= rows_) return std::nullopt;
  std::vector<int64_t> second = counts_;
  for (size_t i = 0; i < second.size(); ++i) second[i] -= middle->counts[i];
  return CompareHalves(middle->counts, middle->rows, second, rows_ - middle->rows, top_k_);
}

LayerProfile LayerTrace::Profile() const {
  LayerProfile profile;
  profile.load = SummarizeLayer(counts_);
  profile.counts = counts_;
  if (top_k_ > 0) profile.tokens = rows_;
  for (const auto& [rows, sum] : decode_passes_) {
    profile.decode_passes.push_back({rows, sum.samples, static_cast<double>(sum.distinct) / static_cast<double>(sum.samples)});
  }
  for (size_t level = 0; level <= levels_; ++level) {
    const Sum& sum = blocks_[level];
    if (sum.samples == 0) break;
    profile.blocks.push_back(
        {int64_t{1} << level, sum.samples, static_cast<double>(sum.distinct) / static_cast<double>(sum.samples)});
  }
  if (top_k_ > 0) profile.in_sequence_exponent = FitInSequenceExponent(profile.blocks, profile.load.popularity, top_k_);
  if (overlap_rows_ > 0) {
    profile.overlap = static_cast<double>(overlap_shared_) / static_cast<double>(overlap_rows_ * top_k_);
  }
  if (rows_ > 0 && top_k_ > 0) {
    for (const int64_t count : counts_) {
      const double rate = static_cast<double>(count) / static_cast<double>(rows_);
      profile.independent_overlap += rate * rate / top_k_;
    }
  }
  profile.pair_rows = pair_rows_;
  profile.pairs = TopPairs();
  profile.halves = Halves();
  return profile;
}

std::vector<CoverageRow> CoverageTable(const LayerProfile& profile, int top_k) {
  constexpr int64_t kMostTokens = 1024;
  constexpr size_t kMostSizes = 40;
  std::vector<CoverageRow> table;
  if (top_k <= 0) return table;
  const int64_t seen = profile.tokens.value_or(0);
  std::set<int64_t> sizes;
  for (int64_t tokens = 1; tokens <= std::min(seen, kMostTokens); tokens *= 2) sizes.insert(tokens);
  if (profile.decode_passes.size() <= kMostSizes) {
    for (const CoveragePoint& point : profile.decode_passes) sizes.insert(point.tokens);
  }
  const auto measured = [](const std::vector<CoveragePoint>& points, int64_t tokens) -> std::optional<double> {
    const auto found = std::ranges::find(points, tokens, &CoveragePoint::tokens);
    return found == points.end() ? std::nullopt : std::optional(found->distinct);
  };
  // Counts above the tokens come from layers that were recorded incompletely or many times over.
  const bool countable = std::ranges::all_of(profile.counts, [seen](int64_t count) { return count <= seen; });
  const double experts = profile.load.experts;
  for (const int64_t tokens : sizes) {
    CoverageRow row;
    row.tokens = tokens;
    row.decode_passes = measured(profile.decode_passes, tokens);
    row.blocks = measured(profile.blocks, tokens);
    if (countable && tokens <= seen) row.resampled = DistinctExpertsRarefied(profile.counts, seen, tokens);
    const auto batch = static_cast<double>(tokens);
    // The CV of the experts' rates is that of their counts.
    row.uniform = DistinctExpertsUniform(experts, top_k, batch);
    row.beta_binomial = DistinctExpertsBetaBinomial(experts, top_k, batch, profile.load.cv);
    row.popularity = DistinctExpertsFromPopularity(profile.load.popularity, top_k, batch);
    table.push_back(row);
  }
  return table;
}

}  // namespace moecap::routing
