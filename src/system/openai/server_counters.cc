#include "system/openai/server_counters.h"

#include <optional>

#include "system/openai/prometheus_text.h"

namespace moecap::openai {
namespace {

using load::ServerCounters;

std::optional<double> Plus(std::optional<double> a, std::optional<double> b, double sign = 1) {
  return a ? std::optional(*a + sign * b.value_or(0)) : std::nullopt;
}

}  // namespace

ServerCounters CountersOnPage(ServerKind kind, std::string_view metrics) {
  ServerCounters counters;
  counters.process_start_s = SumOf(metrics, "process_start_time_seconds");
  switch (kind) {
    case ServerKind::kVllm:
      counters.prompt_tokens = SumOf(metrics, "vllm:prompt_tokens_total");
      counters.cached_tokens = FirstOf(metrics, {"vllm:prompt_tokens_cached_total", "vllm:prefix_cache_hits_total"});
      counters.generated_tokens = SumOf(metrics, "vllm:generation_tokens_total");
      counters.aborted = SumOf(metrics, "vllm:request_success_total", "finished_reason=\"abort\"");
      counters.finished = Plus(SumOf(metrics, "vllm:request_success_total"), counters.aborted, -1);
      break;
    case ServerKind::kSglang:
      counters.prompt_tokens = SumOf(metrics, "sglang:prompt_tokens_total");
      counters.cached_tokens = SumOf(metrics, "sglang:cached_tokens_total");
      counters.generated_tokens = SumOf(metrics, "sglang:generation_tokens_total");
      counters.aborted = SumOf(metrics, "sglang:num_aborted_requests_total");
      counters.finished = Plus(SumOf(metrics, "sglang:num_requests_total"), counters.aborted, -1);
      break;
    case ServerKind::kLlamaServer:
      counters.cached_tokens = SumOf(metrics, "llamacpp:prompt_tokens_cached_total");
      counters.prompt_tokens = Plus(SumOf(metrics, "llamacpp:prompt_tokens_total"), counters.cached_tokens);
      counters.generated_tokens = SumOf(metrics, "llamacpp:tokens_predicted_total");
      break;
    case ServerKind::kTgi:
      counters.prompt_tokens = SumOf(metrics, "tgi_request_input_length_sum");
      counters.generated_tokens = SumOf(metrics, "tgi_request_generated_tokens_sum");
      counters.finished = SumOf(metrics, "tgi_request_success");
      break;
    default:
      break;
  }
  return counters;
}

}  // namespace moecap::openai
