// What an engine was asked to compute, pass by pass, so that the very same batches can be computed again.
#pragma once

#include <cstdint>
#include <vector>

namespace moecap::llamacpp {

struct BatchToken {
  int32_t token = 0;
  int32_t position = 0;
  int32_t slot = 0;
  bool output = false;      // logits asked for
  int32_t next_token = -1;  // greedy choice from those logits; -1 when not asked for
};

struct LoggedPass {
  std::vector<int32_t> freed_slots;  // KV-cache slots emptied before the pass
  std::vector<BatchToken> tokens;
  // Tokens routed to each expert, [MoE layer][expert], where the engine had to look at them anyway to bring experts into
  // memory.
  std::vector<std::vector<int32_t>> expert_counts;
};

using PassLog = std::vector<LoggedPass>;

// Tokens routed to each expert in one pass, [MoE layer][expert].
struct PassRouting {
  std::vector<std::vector<int32_t>> expert_counts;
};

// A second, instrumented execution of a log: the same tokens go in, so each pass has the experts of the logged one but for what
// rounding tips.
struct ReplayedLog {
  std::vector<PassRouting> passes;  // one a logged pass
  int64_t choices = 0;              // greedy choices in the log
  int64_t differing = 0;            // of them those that came out otherwise
};

// What the timed passes saw themselves, of an engine that had to look (LoggedPass::expert_counts).
ReplayedLog RoutingOf(const PassLog& log);

}  // namespace moecap::llamacpp
