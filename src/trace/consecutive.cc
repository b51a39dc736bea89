#include "trace/consecutive.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_map>

#include "base/check.h"

namespace moecap::trace {
namespace {

constexpr size_t kMostSequences = 4096;  // followed at once; beyond that all are begun anew

// The last tokens of a sequence: for each, a bit per expert of every layer.
struct RecentTokens {
  std::vector<uint64_t> masks;  // [place][layer][word]
  size_t next = 0;              // place of the next token
  int run = 0, decoded_run = 0;
};

class WindowCounter {
 public:
  WindowCounter(size_t layers, int experts, int most_tokens)
      : layers_(layers),
        words_((static_cast<size_t>(experts) + 63) / 64),
        most_(static_cast<size_t>(most_tokens)),
        all_(most_, layers),
        decoded_(most_, layers) {}

  // The masks of the next token of `sequence` are written into what this returns, [layer][word], zeroed; then End().
  uint64_t* Begin(uint32_t sequence, bool decode) {
    if (recent_.size() > kMostSequences && !recent_.contains(sequence)) recent_.clear();
    current_ = &recent_[sequence];
    current_->masks.resize(most_ * layers_ * words_);
    const int longest = static_cast<int>(most_);
    current_->run = std::min(current_->run + 1, longest);
    current_->decoded_run = decode ? std::min(current_->decoded_run + 1, longest) : 0;
    uint64_t* const masks = current_->masks.data() + current_->next * layers_ * words_;
    std::fill_n(masks, layers_ * words_, 0);
    return masks;
  }

  void End() {
    std::vector<uint64_t>& joined = scratch_;
    for (size_t layer = 0; layer < layers_; ++layer) {
      joined.assign(words_, 0);
      for (size_t back = 0; back < static_cast<size_t>(current_->run); ++back) {
        const size_t place = (current_->next + most_ - back) % most_;
        const uint64_t* const masks = current_->masks.data() + (place * layers_ + layer) * words_;
        uint64_t any = 0;
        int distinct = 0;
        for (size_t word = 0; word < words_; ++word) {
          any |= masks[word];
          joined[word] |= masks[word];
          distinct += std::popcount(joined[word]);
        }
        if (any == 0) break;  // not routed in this layer: no window reaches over it
        all_.Add(back, layer, distinct);
        if (back < static_cast<size_t>(current_->decoded_run)) decoded_.Add(back, layer, distinct);
      }
    }
    current_->next = (current_->next + 1) % most_;
  }

  void ForgetAll() { recent_.clear(); }

  ConsecutiveExperts Finish() const {
    const bool decoded = most_ < 2 ? decoded_.Any(0) : decoded_.Any(1);
    ConsecutiveExperts found = (decoded ? decoded_ : all_).Means();
    found.decoded = decoded;
    return found;
  }

 private:
  struct Sums {
    Sums(size_t most, size_t of_layers) : layers(of_layers), windows(most * of_layers), distinct(most * of_layers) {}
    void Add(size_t back, size_t layer, int count) {
      ++windows[back * layers + layer];
      distinct[back * layers + layer] += count;
    }
    bool Any(size_t back) const {
      return std::any_of(windows.begin() + static_cast<std::ptrdiff_t>(back * layers),
                         windows.begin() + static_cast<std::ptrdiff_t>((back + 1) * layers), [](int64_t n) { return n > 0; });
    }
    // Up to the longest windows that every layer has.
    ConsecutiveExperts Means() const {
      ConsecutiveExperts found;
      for (size_t begin = 0; begin < windows.size(); begin += layers) {
        std::vector<double> means;
        for (size_t i = begin; i < begin + layers && windows[i] > 0; ++i)
          means.push_back(static_cast<double>(distinct[i]) / static_cast<double>(windows[i]));
        if (means.size() < layers) break;
        found.distinct.push_back(std::move(means));
        found.windows.push_back(windows[begin]);
      }
      return found;
    }
    size_t layers;
    std::vector<int64_t> windows, distinct;
  };

  size_t layers_, words_, most_;
  Sums all_, decoded_;
  std::unordered_map<uint32_t, RecentTokens> recent_;
  RecentTokens* current_ = nullptr;
  std::vector<uint64_t> scratch_;
};

// Adds a pass's assignments, [layer][expert].
void AddLoads(const TraceHeader& header, const TracePass& pass, std::vector<double>& loads) {
  for (size_t i = 0; i < pass.counts.size(); ++i) loads[i] += static_cast<double>(pass.counts[i]);
  const size_t per_layer = static_cast<size_t>(pass.tokens) * static_cast<size_t>(header.top_k);
  for (size_t i = 0; i < pass.ids.size(); ++i) {
    if (pass.ids[i] != kNoExpert) loads[i / per_layer * static_cast<size_t>(header.experts) + pass.ids[i]] += 1;
  }
}

std::vector<std::vector<double>> SharesOf(const std::vector<double>& loads, size_t experts) {
  std::vector<std::vector<double>> shares;
  for (size_t begin = 0; begin < loads.size(); begin += experts) {
    const auto first = loads.begin() + static_cast<std::ptrdiff_t>(begin);
    std::vector<double> layer(first, first + static_cast<std::ptrdiff_t>(experts));
    const double all = std::accumulate(layer.begin(), layer.end(), 0.0);
    for (double& share : layer) share = all > 0 ? share / all : 0;
    shares.push_back(std::move(layer));
  }
  return shares;
}

void Mark(uint64_t* masks, size_t expert) { masks[expert / 64] |= uint64_t{1} << (expert % 64); }

void AddTokens(const TraceHeader& header, const TracePass& pass, bool decode, size_t words, WindowCounter& counter) {
  for (size_t token = 0; token < pass.sequences.size(); ++token) {
    uint64_t* const masks = counter.Begin(pass.sequences[token], decode);
    for (size_t layer = 0; layer < header.layers(); ++layer) {
      const uint16_t* const ids = pass.Ids(layer, token, header.top_k);
      for (int i = 0; i < header.top_k; ++i) {
        if (ids[i] != kNoExpert) Mark(masks + layer * words, ids[i]);
      }
    }
    counter.End();
  }
}

void AddOneToken(const TraceHeader& header, const TracePass& pass, bool decode, size_t words, WindowCounter& counter) {
  uint64_t* const masks = counter.Begin(0, decode);
  for (size_t i = 0; i < pass.counts.size(); ++i) {
    const size_t experts = static_cast<size_t>(header.experts);
    if (pass.counts[i] > 0) Mark(masks + i / experts * words, i % experts);
  }
  counter.End();
}

}  // namespace

double ConsecutiveExperts::Mean(int tokens) const {
  const std::vector<double>& layers = distinct[static_cast<size_t>(tokens) - 1];
  return std::accumulate(layers.begin(), layers.end(), 0.0) / static_cast<double>(layers.size());
}

Result<ConsecutiveExperts> CountConsecutive(TraceSource& source, int most_tokens) {
  CHECK(most_tokens >= 1 && most_tokens <= 256);
  const TraceHeader& header = source.header();
  if (header.grain == Grain::kTotals)
    return BadInput("the trace holds sums, not the order in which tokens came: consecutive tokens cannot be told from it");
  const size_t words = (static_cast<size_t>(header.experts) + 63) / 64;
  WindowCounter counter(header.layers(), header.experts, most_tokens);
  std::vector<double> loads(header.layers() * static_cast<size_t>(header.experts));
  TracePass pass;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, source.Next(pass));
    if (!more) break;
    AddLoads(header, pass, loads);
    const bool decode = pass.kind == record::PassKind::kDecode;
    if (header.grain == Grain::kTokenIds) {
      AddTokens(header, pass, decode, words, counter);
    } else if (pass.tokens == 1) {
      AddOneToken(header, pass, decode, words, counter);
    } else if (!pass.Idle()) {
      counter.ForgetAll();
    }
  }
  ConsecutiveExperts found = counter.Finish();
  if (found.distinct.empty() || (most_tokens > 1 && found.distinct.size() < 2)) {
    return BadInput(
        "the trace holds no two consecutive tokens of one sequence: record token ids with their sequences, or counts of one "
        "client, whose decode passes are of one token");
  }
  found.popularity = SharesOf(loads, static_cast<size_t>(header.experts));
  return found;
}

}  // namespace moecap::trace
