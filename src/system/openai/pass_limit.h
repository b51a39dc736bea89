// How many new tokens one forward pass of a server takes at most: longer prompts are computed in several passes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "system/openai/dialect.h"
#include "system/openai/server_facts.h"

namespace moecap::openai {

struct PassLimit {
  int64_t tokens = 0;
  std::string source;       // "chunked_prefill_size of /server_info"
  bool is_assumed = false;  // the server does not tell: what its documentation says it does by itself
};

// As its pages say; else the flag in the words that it was started with (may be empty: not known); else vLLM's default, which
// depends on the memory of its device: 2,048 tokens on a processor (0 bytes) and on GPUs below 70 GiB, 8,192 from 70 GiB on,
// and 16,384 from 160 GiB on (vLLM's optimisation guide and its argument parser, 0.30), no more than its batch could hold. Null
// where the memory is not known, or the server is of another kind.
std::optional<PassLimit> FindPassLimit(ServerKind kind, const ServerFacts& facts, std::span<const std::string> words,
                                       std::optional<double> device_memory_bytes);

}  // namespace moecap::openai
