// The forward passes of a server that tells none, from the moments at which its tokens reached a client that saw every request.
//
// One rule carries it: a running request emits exactly one token a pass. So the n-th pass after a request's first token is the
// one in which its (n+1)-th token was made, an event with two tokens hides two passes, and the requests that run together step
// together. What a pass computed then follows exactly; when it ended is when its tokens arrived, in the middle of their spread,
// and it took the time since the pass before it. Speculative decoding breaks the rule: then nothing is reconstructed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "record/pass_record.h"
#include "record/request_record.h"

namespace moecap::metrics {

// What a server does with the prompts that wait while others decode.
enum class PrefillBatching {
  kMixed,  // they join the next pass, beside the tokens of those that run: vLLM, llama-server, transformers
  kAlone,  // they get a pass of their own, in which nobody else steps: SGLang without mixed chunks, TGI
};

struct PassRule {
  PrefillBatching prefill = PrefillBatching::kMixed;
  // New tokens that a pass takes at most; a longer prompt is computed in several passes, the last of which emits its first
  // token. Null: every prompt is computed whole.
  std::optional<int64_t> most_tokens;
};

// What a pass computed of one request: tokens [begin, begin + count) of the prompt followed by its output.
struct PassShare {
  size_t request = 0;
  int64_t begin = 0;
  int64_t count = 1;

  friend bool operator==(const PassShare&, const PassShare&) = default;
};

struct PassReconstruction {
  std::vector<record::PassRecord> passes;      // their latencies estimates, their experts not known
  std::vector<std::vector<PassShare>> shares;  // of each pass
  // Tokens that arrived nearer to the end of their own pass than to that of another one, 0..1: how well the rule held. Passes
  // whose tokens arrived together are one burst.
  double fit = 1;
  std::string missing;  // why there are none; empty = reconstructed
};

// `requests`: all that the server had to serve meanwhile, in any order; the ones that failed before their first token count for
// nothing. None are reconstructed, with the reason, when a request came whole or its tokens' times are not known, or when
// events carry several tokens that did not take the time of several.
PassReconstruction ReconstructPasses(std::span<const record::RequestRecord> requests, const PassRule& rule);

}  // namespace moecap::metrics
