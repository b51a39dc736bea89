// Which chunk carried how many tokens, when only their total is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace moecap::load {

// `tokens` >= 0 over `chunks` entries that sum to `tokens` unless there are no chunks. More tokens than chunks: entries that
// differ by at most 1, the larger ones spread evenly. Fewer: 0 or 1 each; two and more tokens hold the first and the last
// chunk.
std::vector<int32_t> SpreadTokens(int64_t tokens, size_t chunks);

// What is known of one answer when it has ended.
struct AnswerTokens {
  int64_t total = 0;                 // >= 0, by the server
  std::optional<int64_t> reasoning;  // of the total, by the server
  size_t reasoning_chunks = 0;       // they come first
  size_t answer_chunks = 0;          //
  bool ended_by_end_token = false;   // which may have had no chunk of its own
};

struct TokenSpread {
  std::vector<int32_t> chunk_tokens;  // one entry a chunk, summing to the total
  // Whether one token a chunk explains the total but for at most 5 %, or there is one chunk only: else which chunk carried how
  // many is a guess, and a time per token computed from it may be off by as much as the counts are.
  bool fits = false;
};

// Reasoning that no chunk shows came before the first chunk, whose entry then holds it too; a single token too many at the end
// token is that one, and belongs to the last chunk. Requires a chunk.
TokenSpread SpreadAnswer(const AnswerTokens& answer);

}  // namespace moecap::load
