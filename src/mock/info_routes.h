// Everything a server answers besides generating: health, models, tokenise, metrics.
#pragma once

#include <optional>
#include <string>

#include "mock/counters.h"
#include "mock/dialect.h"

namespace moecap::mock {

struct InfoContext {
  Dialect dialect = Dialect::kVllm;
  std::string model;
  int64_t vocab = 32000;
  int64_t max_context = 0;  // 0 = not limited
  int64_t max_running = 0;
  int devices = 1;
  bool routed_experts = false;  // sglang says so
};

struct InfoAnswer {
  std::string content_type = "application/json";
  std::string body;
  bool clear_prefix_cache = false;  // the route asks for it
};

// Null when the dialect has no such route. `passes` feeds trtllm's /metrics.
std::optional<InfoAnswer> AnswerInfo(const InfoContext& context, std::string_view method, std::string_view path,
                                     std::string_view body, const Totals& totals, PassQueue& passes);

}  // namespace moecap::mock
