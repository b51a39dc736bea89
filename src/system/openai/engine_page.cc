#include "system/openai/engine_page.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "system/openai/prometheus_text.h"
#include "system/openai/server_counters.h"

namespace moecap::openai {
namespace {

using load::EngineSnapshot;

std::optional<double> Product(std::optional<double> a, std::optional<double> b) {
  return a && b && std::isfinite(*a * *b) ? std::optional(*a * *b) : std::nullopt;
}

std::optional<double> NumberIn(const std::string& text) {
  double value = 0;
  const bool is_number = std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
  return is_number && value > 0 ? std::optional(value) : std::nullopt;
}

void ReadVllm(std::string_view page, EngineSnapshot& engine) {
  engine.model = LabelOf(page, "vllm:", "model_name");
  engine.running = SumOf(page, "vllm:num_requests_running");
  engine.engines = std::max(1, ValuesOf(page, "vllm:num_requests_running", "engine"));
  engine.waiting = SumOf(page, "vllm:num_requests_waiting");
  engine.kv_used_share = MeanOf(page, "vllm:kv_cache_usage_perc");
  if (!engine.kv_used_share) engine.kv_used_share = MeanOf(page, "vllm:gpu_cache_usage_perc");
  // One line an engine, each with the same labels.
  const auto engines = SumOf(page, "vllm:cache_config_info");
  engine.kv_capacity_tokens = Product(Product(NumberIn(LabelOf(page, "vllm:cache_config_info", "block_size")),
                                              NumberIn(LabelOf(page, "vllm:cache_config_info", "num_gpu_blocks"))),
                                      engines);
  engine.passes = SumOf(page, "vllm:iteration_tokens_total_count");
  for (const auto& [bound, passes] : BucketsOf(page, "vllm:iteration_tokens_total"))
    engine.pass_sizes.push_back({bound, passes});
  engine.first_tokens = SumOf(page, "vllm:time_to_first_token_seconds_count");
  engine.token_gaps = FirstOf(page, {"vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count"});
  engine.token_gap_s = FirstOf(page, {"vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum"});
}

void ReadSglang(std::string_view page, EngineSnapshot& engine) {
  engine.model = LabelOf(page, "sglang:", "model_name");
  engine.running = SumOf(page, "sglang:num_running_reqs");
  engine.engines = std::max(1, ValuesOf(page, "sglang:num_running_reqs", "dp_rank"));
  engine.waiting = SumOf(page, "sglang:num_queue_reqs");
  engine.kv_used_share = MeanOf(page, "sglang:token_usage");
  engine.kv_capacity_tokens = SumOf(page, "sglang:max_total_num_tokens");
  engine.kv_used_tokens = SumOf(page, "sglang:kv_used_tokens");
  engine.first_tokens = SumOf(page, "sglang:time_to_first_token_seconds_count");
  engine.token_gaps = SumOf(page, "sglang:inter_token_latency_seconds_count");
  engine.token_gap_s = SumOf(page, "sglang:inter_token_latency_seconds_sum");
  engine.passes = SumOf(page, "sglang:cuda_graph_passes_total");
  engine.prefill_passes = SumOf(page, "sglang:cuda_graph_passes_total", "mode=\"prefill_");
  if (engine.passes && !engine.prefill_passes) engine.prefill_passes = 0;
  engine.busy_s = SumOf(page, "sglang:forward_execution_seconds_total");
  engine.prefill_apart = true;
  // Its counters of whole requests move when a request ends; these move with the passes.
  const auto decoded = SumOf(page, "sglang:realtime_tokens_total", "mode=\"decode\"");
  if (!decoded) return;
  engine.decode_tokens = decoded;
  engine.counters.generated_tokens = *decoded + engine.first_tokens.value_or(0);
  engine.counters.cached_tokens = SumOf(page, "sglang:realtime_tokens_total", "mode=\"prefill_cache\"").value_or(0);
  engine.counters.prompt_tokens =
      SumOf(page, "sglang:realtime_tokens_total", "mode=\"prefill_").value_or(*engine.counters.cached_tokens);
}

void ReadLlamaServer(std::string_view page, EngineSnapshot& engine) {
  engine.running = SumOf(page, "llamacpp:requests_processing");
  engine.waiting = SumOf(page, "llamacpp:requests_deferred");
  engine.kv_used_share = SumOf(page, "llamacpp:kv_cache_usage_ratio");  // of older releases
  engine.kv_used_tokens = SumOf(page, "llamacpp:kv_cache_tokens");
  engine.passes = SumOf(page, "llamacpp:n_decode_total");
  engine.decode_tokens = Product(engine.passes, SumOf(page, "llamacpp:n_busy_slots_per_decode"));
  engine.is_six_digits = true;
}

void ReadTgi(std::string_view page, EngineSnapshot& engine) {
  engine.running = SumOf(page, "tgi_batch_current_size");
  engine.waiting = SumOf(page, "tgi_queue_size");
  engine.passes = SumOf(page, "tgi_batch_forward_duration_count");
  engine.prefill_passes = SumOf(page, "tgi_batch_forward_duration_count", "method=\"prefill\"");
  engine.busy_s = SumOf(page, "tgi_batch_forward_duration_sum");
  engine.prefill_apart = true;
}

}  // namespace

EngineSnapshot EngineOnPage(ServerKind kind, std::string_view metrics) {
  EngineSnapshot engine;
  engine.counters = CountersOnPage(kind, metrics);
  switch (kind) {
    case ServerKind::kVllm:
      ReadVllm(metrics, engine);
      break;
    case ServerKind::kSglang:
      ReadSglang(metrics, engine);
      break;
    case ServerKind::kLlamaServer:
      ReadLlamaServer(metrics, engine);
      break;
    case ServerKind::kTgi:
      ReadTgi(metrics, engine);
      break;
    default:
      break;
  }
  if (!engine.kv_used_tokens) engine.kv_used_tokens = Product(engine.kv_used_share, engine.kv_capacity_tokens);
  return engine;
}

}  // namespace moecap::openai
