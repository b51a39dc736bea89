// A server's /metrics: a counter is a number or not there.
#include <cmath>

#include "fuzz/fuzz.h"
#include "system/openai/engine_page.h"
#include "system/openai/server_counters.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  for (const openai::ServerKind kind : {openai::ServerKind::kVllm, openai::ServerKind::kSglang,
                                        openai::ServerKind::kLlamaServer, openai::ServerKind::kUnknown}) {
    const load::ServerCounters counters = openai::CountersOnPage(kind, fuzz::Text(data, size));
    for (const auto& count : {counters.cached_tokens, counters.generated_tokens, counters.aborted, counters.process_start_s})
      CHECK(!count || (*count >= 0 && !std::isnan(*count)));
    const load::EngineSnapshot engine = openai::EngineOnPage(kind, fuzz::Text(data, size));
    for (const auto& figure : {engine.running, engine.passes, engine.kv_used_tokens, engine.busy_s})
      CHECK(!figure || (*figure >= 0 && !std::isnan(*figure)));
  }
  return 0;
}
