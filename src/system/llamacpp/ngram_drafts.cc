#include "system/llamacpp/ngram_drafts.h"

#include <algorithm>
#include <cstddef>

namespace moecap::llamacpp {

std::vector<int32_t> DraftNgram(std::span<const int32_t> history, const NgramDrafts& drafts) {
  std::vector<int32_t> draft;
  for (auto n = static_cast<size_t>(drafts.lookup_max); n >= static_cast<size_t>(drafts.lookup_min); --n) {
    if (n >= history.size() || drafts.length <= 0) continue;
    const std::span<const int32_t> last = history.last(n);
    // `end`: one behind an occurrence.
    for (size_t end = history.size() - 1; end >= n; --end) {
      if (!std::ranges::equal(history.subspan(end - n, n), last)) continue;
      for (size_t i = 0; i < static_cast<size_t>(drafts.length); ++i)
        draft.push_back(end + i < history.size() ? history[end + i] : draft[end + i - history.size()]);
      return draft;
    }
  }
  return draft;
}

std::vector<SequenceRows> RowsBySequence(std::span<const BatchToken> tokens) {
  std::vector<SequenceRows> sequences;
  for (size_t begin = 0; begin < tokens.size();) {
    size_t end = begin + 1;
    while (end < tokens.size() && tokens[end].slot == tokens[begin].slot) ++end;
    SequenceRows sequence{tokens.subspan(begin, end - begin)};
    while (begin + 1 < end && tokens[begin].next_token == tokens[begin + 1].token) ++begin, ++sequence.accepted;
    sequences.push_back(sequence);
    begin = end;
  }
  return sequences;
}

}  // namespace moecap::llamacpp
