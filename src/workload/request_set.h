// What a load test asks of a server: prompts of known length, shared prefixes, conversations. docs/workloads.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

// Prompts that are not planned to share anything may still begin with the same few tokens by chance, at most so many: an id may
// be the first of more than one prompt when there are more prompts than ids. No server's cache block is as short, but some
// servers share single tokens.
inline constexpr int64_t kMostChanceTokens = 4;

struct PromptMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// One request, or one turn of a conversation.
struct PlannedPrompt {
  std::string id;                          // unique within the set
  std::string text;                        // the prompt, or the user's message of a turn; empty with token_ids
  std::vector<int32_t> token_ids;          // the exact prompt, where the server takes ids
  std::vector<PromptMessage> messages;     // a chat that says the same as `text`, for systems that take one; else empty
  std::vector<std::string> continuations;  // not empty: how likely each is behind the prompt is asked for, and nothing else
  std::vector<std::string> stop;           // the answer ends before the first of these
  std::optional<int64_t> input_tokens;     // planned length of the prompt; null = whatever the tokenizer makes of it
  int64_t output_tokens = 0;               // >= 1
  bool exact_output = false;               // generate exactly so many, past the end token; else at most
  // Leading tokens that an earlier request of the set has sent too: the planned cache hit, if nothing was evicted since. Null
  // where it is not known in tokens: texts that no tokenizer has counted, data sets, turns (whose history the server
  // tokenizes).
  std::optional<int64_t> shared_tokens;
  std::string cache_salt;     // requests share cached prefixes only with the same salt; empty = server's default
  double at_s = 0;            // of a replayed trace: when it is sent, ascending; else 0
  int64_t conversation = -1;  // turns of one user follow each other in the set; -1 = none
  double think_s = 0;         // a turn: how long the user waits after the last answer
};

struct RequestSet {
  std::vector<PlannedPrompt> prompts;
  bool has_times = false;          // a replayed trace
  bool has_conversations = false;  // every prompt is a turn
  std::string description;         // one line: "fixed: 512 tokens in (ids), 128 out, unique salt"
  std::vector<std::string> notes;  // what a reader must know: "lengths are those of our text, not tokens"
};

}  // namespace moecap::workload
