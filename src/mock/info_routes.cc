#include "mock/info_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "mock/api_request.h"
#include "mock/format.h"
#include "mock/tokenizer.h"

namespace moecap::mock {
namespace {

constexpr std::string_view kVersion = "moecap-mock";
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

// Prometheus text of one server's families, all with the same labels.
class Exposition {
 public:
  explicit Exposition(std::string labels) : labels_(std::move(labels)) {}

  void Gauge(std::string_view name, double value) { Single(name, "gauge", value); }
  void Counter(std::string_view name, double value) { Single(name, "counter", value); }
  void Labelled(std::string_view name, std::string_view label, double value) {
    fmt::format_to(std::back_inserter(text_), "{}{{{}{}{}}} {}\n", name, labels_, labels_.empty() ? "" : ",", label, value);
  }
  void Type(std::string_view name, std::string_view type) {
    fmt::format_to(std::back_inserter(text_), "# TYPE {} {}\n", name, type);
  }
  void Distribution(std::string_view name, const Totals::Buckets& buckets) {
    Type(name, "histogram");
    int64_t cumulative = 0;
    for (size_t i = 0; i < buckets.counts.size(); ++i) {
      cumulative += buckets.counts[i];
      const std::string bound = i < kBucketBounds.size() ? fmt::format("{}", kBucketBounds[i]) : "+Inf";
      Labelled(fmt::format("{}_bucket", name), fmt::format("le=\"{}\"", bound), static_cast<double>(cumulative));
    }
    Plain(fmt::format("{}_sum", name), buckets.sum_s);
    Plain(fmt::format("{}_count", name), static_cast<double>(cumulative));
  }
  void PassSizes(std::string_view name, const Totals& totals) {
    Type(name, "histogram");
    int64_t cumulative = 0;
    for (size_t i = 0; i < totals.pass_sizes.size(); ++i) {
      cumulative += totals.pass_sizes[i];
      const std::string bound = i < kPassBounds.size() ? fmt::format("{}.0", kPassBounds[i]) : "+Inf";
      Labelled(fmt::format("{}_bucket", name), fmt::format("le=\"{}\"", bound), static_cast<double>(cumulative));
    }
    Plain(fmt::format("{}_sum", name), static_cast<double>(totals.pass_tokens));
    Plain(fmt::format("{}_count", name), static_cast<double>(cumulative));
  }
  std::string Take() { return std::move(text_); }

 private:
  void Single(std::string_view name, std::string_view type, double value) {
    Type(name, type);
    Plain(name, value);
  }
  void Plain(std::string_view name, double value) {
    if (labels_.empty()) {
      fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name, labels_, value);
    }
  }

  std::string labels_;
  std::string text_;
};

double D(int64_t value) { return static_cast<double>(value); }

// What real servers call used grows with the tokens, while the simulated ones reserve the whole answer's.
double KvUsed(const Totals& totals) {
  return totals.kv_capacity_tokens > 0 ? std::min(1.0, D(totals.kv_used_tokens) / D(totals.kv_capacity_tokens))
                                       : totals.kv_used_share;
}

std::string VllmMetrics(const InfoContext& context, const Totals& totals) {
  Exposition out(fmt::format("model_name=\"{}\",engine=\"0\"", context.model));
  out.Gauge("vllm:num_requests_running", D(totals.running));
  out.Gauge("vllm:num_requests_waiting", D(totals.waiting));
  out.Gauge("vllm:kv_cache_usage_perc", KvUsed(totals));
  out.Type("vllm:cache_config_info", "gauge");
  out.Labelled("vllm:cache_config_info", fmt::format("block_size=\"1\",num_gpu_blocks=\"{}\"", totals.kv_capacity_tokens), 1);
  if (totals.passes > 0) out.PassSizes("vllm:iteration_tokens_total", totals);
  out.Counter("vllm:prompt_tokens_total", D(totals.prompt_tokens));
  out.Counter("vllm:generation_tokens_total", D(totals.generation_tokens));
  out.Counter("vllm:prefix_cache_queries_total", D(totals.prompt_tokens));
  out.Counter("vllm:prefix_cache_hits_total", D(totals.cached_tokens));
  out.Counter("vllm:num_preemptions_total", 0);
  out.Type("vllm:request_success_total", "counter");
  out.Labelled("vllm:request_success_total", "finished_reason=\"length\"", D(totals.finished_length));
  out.Labelled("vllm:request_success_total", "finished_reason=\"stop\"", D(totals.finished_stop));
  out.Labelled("vllm:request_success_total", "finished_reason=\"abort\"", D(totals.finished_abort));
  out.Distribution("vllm:time_to_first_token_seconds", totals.ttft);
  out.Distribution("vllm:inter_token_latency_seconds", totals.inter_token);
  out.Distribution("vllm:e2e_request_latency_seconds", totals.e2e);
  return out.Take();
}

std::string SglangMetrics(const InfoContext& context, const Totals& totals) {
  Exposition out(
      fmt::format("model_name=\"{}\",engine_type=\"unified\",tp_rank=\"0\",pp_rank=\"0\",moe_ep_rank=\"0\"", context.model));
  out.Gauge("sglang:num_running_reqs", D(totals.running));
  out.Gauge("sglang:num_queue_reqs", D(totals.waiting));
  out.Gauge("sglang:token_usage", KvUsed(totals));
  out.Gauge("sglang:kv_used_tokens", D(totals.kv_used_tokens));
  out.Gauge("sglang:max_total_num_tokens", D(totals.kv_capacity_tokens));
  out.Gauge("sglang:cache_hit_rate", totals.prompt_tokens > 0 ? D(totals.cached_tokens) / D(totals.prompt_tokens) : 0);
  out.Counter("sglang:prompt_tokens_total", D(totals.prompt_tokens));
  out.Counter("sglang:generation_tokens_total", D(totals.generation_tokens));
  out.Counter("sglang:cached_tokens_total", D(totals.cached_tokens));
  out.Counter("sglang:num_requests_total", D(totals.requests));
  out.Type("sglang:realtime_tokens_total", "counter");
  out.Labelled("sglang:realtime_tokens_total", "mode=\"prefill_compute\"",
               D(std::max<int64_t>(0, totals.prompt_tokens - totals.cached_tokens)));
  out.Labelled("sglang:realtime_tokens_total", "mode=\"prefill_cache\"", D(totals.cached_tokens));
  out.Labelled("sglang:realtime_tokens_total", "mode=\"decode\"", D(totals.decode_rows));
  out.Distribution("sglang:time_to_first_token_seconds", totals.ttft);
  out.Distribution("sglang:inter_token_latency_seconds", totals.inter_token);
  out.Distribution("sglang:e2e_request_latency_seconds", totals.e2e);
  return out.Take();
}

std::string LlamaMetrics(const Totals& totals) {
  Exposition out("");
  out.Counter("llamacpp:prompt_tokens_total", D(totals.prompt_tokens - totals.cached_tokens));
  out.Counter("llamacpp:prompt_tokens_cached_total", D(totals.cached_tokens));
  out.Counter("llamacpp:prompt_seconds_total", totals.prompt_s);
  out.Counter("llamacpp:tokens_predicted_total", D(totals.generation_tokens));
  out.Counter("llamacpp:tokens_predicted_seconds_total", totals.generation_s);
  out.Counter("llamacpp:n_decode_total", D(totals.passes));
  out.Counter("llamacpp:n_busy_slots_per_decode", totals.passes > 0 ? D(totals.busy_sequences) / D(totals.passes) : 0);
  out.Gauge("llamacpp:requests_processing", D(totals.running));
  out.Gauge("llamacpp:requests_deferred", D(totals.waiting));
  return out.Take();
}

std::string TgiMetrics(const Totals& totals) {
  Exposition out("");
  out.Gauge("tgi_batch_current_size", D(totals.running));
  out.Gauge("tgi_queue_size", D(totals.waiting));
  out.Counter("tgi_request_count", D(totals.requests));
  out.Counter("tgi_request_success", D(totals.finished_length + totals.finished_stop));
  out.Distribution("tgi_request_duration", totals.e2e);
  out.Distribution("tgi_request_mean_time_per_token_duration", totals.inter_token);
  return out.Take();
}

std::string TrtllmPrometheus(const InfoContext& context, const Totals& totals) {
  Exposition out(fmt::format("model_name=\"{}\",engine_type=\"trtllm\"", context.model));
  out.Type("trtllm_request_success_total", "counter");
  out.Labelled("trtllm_request_success_total", "finished_reason=\"length\"", D(totals.finished_length));
  out.Labelled("trtllm_request_success_total", "finished_reason=\"stop\"", D(totals.finished_stop));
  out.Distribution("trtllm_time_to_first_token_seconds", totals.ttft);
  out.Distribution("trtllm_time_per_output_token_seconds", totals.inter_token);
  out.Distribution("trtllm_e2e_request_latency_seconds", totals.e2e);
  return out.Take();
}

std::string TrtllmIterations(PassQueue& queue) {
  std::string json = "[";
  for (const PassSummary& pass : queue.TakeAll()) {
    fmt::format_to(
        std::back_inserter(json),
        R"({}{{"iter":{},"iterLatencyMS":{},"numActiveRequests":{},"inflightBatchingStats":{{"numContextRequests":{},)"
        R"("numGenRequests":{},"numCtxTokens":{}}}}})",
        json.size() == 1 ? "" : ",", pass.iter, pass.latency_ms, pass.active_requests, pass.context_requests,
        pass.generation_requests, pass.context_tokens);
  }
  return json + "]";
}

std::optional<InfoAnswer> Metrics(const InfoContext& context, std::string_view path, const Totals& totals, PassQueue& passes) {
  const auto text = [](std::string body) { return InfoAnswer{std::string(kPrometheus), std::move(body)}; };
  if (context.dialect == Dialect::kTrtllm && path == "/prometheus/metrics") return text(TrtllmPrometheus(context, totals));
  if (path != "/metrics") return std::nullopt;
  switch (context.dialect) {
    case Dialect::kVllm:
      return text(VllmMetrics(context, totals));
    case Dialect::kSglang:
      return text(SglangMetrics(context, totals));
    case Dialect::kTrtllm:
      return InfoAnswer{"application/json", TrtllmIterations(passes)};
    case Dialect::kLlamaServer:
      return text(LlamaMetrics(totals));
    case Dialect::kTgi:
      return text(TgiMetrics(totals));
    case Dialect::kOllama:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string Quoted(std::string_view text) {
  std::string json;
  AppendJsonString(text, json);
  return json;
}

// An empty 200 where servers send no body.
InfoAnswer Json(std::string body) { return {body.empty() ? "" : "application/json", std::move(body)}; }

std::optional<InfoAnswer> VersionsAndState(const InfoContext& context, std::string_view path, const Totals& totals) {
  const std::string model = Quoted(context.model);
  switch (context.dialect) {
    case Dialect::kVllm:
      if (path == "/ping") return Json("");
      [[fallthrough]];
    case Dialect::kTrtllm:
      if (path == "/version") return Json(fmt::format(R"({{"version":"{}"}})", kVersion));
      return std::nullopt;
    case Dialect::kSglang:
      if (path == "/health_generate") return Json("");
      if (path == "/model_info" || path == "/get_model_info") {
        return Json(fmt::format(R"({{"model_path":{},"tokenizer_path":{},"is_generation":true}})", model, model));
      }
      if (path == "/server_info" || path == "/get_server_info") {
        return Json(fmt::format(
            R"({{"model_path":{},"tp_size":{},"dp_size":1,"ep_size":1,"max_total_num_tokens":{},"internal_states":[{{)"
            R"("effective_max_running_requests_per_dp":{}}}],"enable_return_routed_experts":{},)"
            R"("expert_distribution_recorder_mode":null,"version":"{}"}})",
            model, context.devices, totals.kv_capacity_tokens, context.max_running, context.routed_experts, kVersion));
      }
      return std::nullopt;
    case Dialect::kLlamaServer:
      if (path != "/props") return std::nullopt;
      return Json(
          fmt::format(R"({{"total_slots":{},"model_path":{},"build_info":"{}"}})", context.max_running, model, kVersion));
    case Dialect::kTgi:
      if (path != "/info") return std::nullopt;
      return Json(fmt::format(R"({{"model_id":{},"max_concurrent_requests":{},"max_total_tokens":{},"version":"{}"}})", model,
                              context.max_running, context.max_context, kVersion));
    case Dialect::kOllama:
      if (path == "/api/version") return Json(fmt::format(R"({{"version":"{}"}})", kVersion));
      if (path == "/api/tags" || path == "/api/ps") {
        return Json(fmt::format(R"({{"models":[{{"name":{},"model":{}}}]}})", model, model));
      }
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<InfoAnswer> Tokens(const InfoContext& context, std::string_view path, std::string_view body) {
  const bool tokenizes = context.dialect != Dialect::kTrtllm && context.dialect != Dialect::kOllama;
  if (!tokenizes) return std::nullopt;
  if (path == "/detokenize" && context.dialect != Dialect::kTgi) {
    const auto ids = IdsToDetokenize(body);
    const char* key = context.dialect == Dialect::kVllm ? "prompt" : context.dialect == Dialect::kSglang ? "text" : "content";
    return Json(fmt::format(R"({{"{}":{}}})", key, Quoted(Detokenize(ids.value_or(std::vector<int32_t>())))));
  }
  if (path != "/tokenize") return std::nullopt;
  const std::vector<int32_t> ids = Tokenize(TextToTokenize(body).value_or(""), context.vocab);
  std::string list;
  AppendTokenList(ids, list);
  if (context.dialect == Dialect::kLlamaServer) return Json(fmt::format(R"({{"tokens":{}}})", list));
  if (context.dialect == Dialect::kTgi) {
    std::string json = "[";
    for (const int32_t id : ids) fmt::format_to(std::back_inserter(json), R"({}{{"id":{}}})", json.size() == 1 ? "" : ",", id);
    return Json(json + "]");
  }
  return Json(fmt::format(R"({{"count":{},"max_model_len":{},"tokens":{}}})", ids.size(), context.max_context, list));
}

}  // namespace

std::optional<InfoAnswer> AnswerInfo(const InfoContext& context, std::string_view method, std::string_view path,
                                     std::string_view body, const Totals& totals, PassQueue& passes) {
  if (method == "POST") {
    const bool clears = (context.dialect == Dialect::kSglang && path == "/flush_cache") ||
                        (context.dialect == Dialect::kVllm && path == "/reset_prefix_cache");
    if (clears) return InfoAnswer{"", "", true};
    return Tokens(context, path, body);
  }
  if (method != "GET") return std::nullopt;
  if (path == "/health" && context.dialect != Dialect::kOllama) {
    return Json(context.dialect == Dialect::kLlamaServer ? R"({"status":"ok"})" : "");
  }
  if (path == "/v1/models") {
    return Json(fmt::format(
        R"({{"object":"list","data":[{{"id":{},"object":"model","created":0,"owned_by":"{}","max_model_len":{}}}]}})",
        Quoted(context.model), Name(context.dialect), context.max_context));
  }
  if (auto answer = Metrics(context, path, totals, passes)) return answer;
  return VersionsAndState(context, path, totals);
}

}  // namespace moecap::mock
