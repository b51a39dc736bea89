// Drafts of coming tokens without a second model: what followed the last words when they were written before ("prompt lookup",
// https://github.com/apoorvumang/prompt-lookup-decoding; vLLM's n-gram proposer).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "system/llamacpp/pass_log.h"

namespace moecap::llamacpp {

struct NgramDrafts {
  int length = 0;      // tokens drafted for a pass at most; 0 = none
  int lookup_max = 3;  // the last so many tokens are looked for in the sequence, ...
  int lookup_min = 1;  // ... else fewer of them, down to these; in [1, lookup_max]
};

// What may follow `history`, a sequence's prompt and output so far: `length` tokens, or none where its last `lookup_min` tokens
// occur nowhere before. Of several occurrences the latest of the longest. Where what followed it ends, it goes on as itself, so
// that a loop is drafted as a loop.
std::vector<int32_t> DraftNgram(std::span<const int32_t> history, const NgramDrafts& drafts);

// A sequence's rows in a decode pass: the token to be decoded and the drafts behind it.
struct SequenceRows {
  std::span<const BatchToken> rows;
  // Drafts that are what the engine chose before them; the pass yields one token more.
  int64_t accepted = 0;
};

// The rows of each sequence of an executed pass, whose slots do not return.
std::vector<SequenceRows> RowsBySequence(std::span<const BatchToken> tokens);

}  // namespace moecap::llamacpp
