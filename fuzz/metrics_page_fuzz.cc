// A server's /metrics: a counter is a number or not there.
#include <cmath>

#include "fuzz/fuzz.h"
#include "system/openai/server_facts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  for (const openai::ServerKind kind : {openai::ServerKind::kVllm, openai::ServerKind::kSglang,
                                        openai::ServerKind::kLlamaServer, openai::ServerKind::kUnknown}) {
    const auto tokens = openai::CachedTokensOnPage(kind, fuzz::Text(data, size));
    CHECK(!tokens || (std::isfinite(*tokens) && *tokens >= 0));
  }
  return 0;
}
