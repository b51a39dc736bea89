#include "system/openai/server_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace moecap::openai {
namespace {

// The member at the end of a path of keys ("internal_states/0/x"); null when any is missing.
const Json& At(const Json& json, std::string_view path) {
  static const Json kNone;
  const Json* at = &json;
  while (!path.empty()) {
    const std::string key(path.substr(0, path.find('/')));
    path.remove_prefix(std::min(path.size(), key.size() + 1));
    if (at->is_array()) {
      if (at->empty()) return kNone;
      at = &at->front();
    } else {
      const auto found = at->is_object() ? at->find(key) : at->end();
      if (!at->is_object() || found == at->end()) return kNone;
      at = &*found;
    }
  }
  return *at;
}

std::string Text(const Json& json, std::string_view path) {
  const Json& value = At(json, path);
  return value.is_string() ? value.get<std::string>() : "";
}

std::optional<int64_t> Number(const Json& json, std::string_view path) {
  const Json& value = At(json, path);
  return value.is_number_integer() && value >= 1 ? std::optional(value.get<int64_t>()) : std::nullopt;
}

std::optional<bool> Flag(const Json& json, std::string_view path) {
  const Json& value = At(json, path);
  return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
}

template <typename T>
void Fill(std::optional<T>& fact, std::optional<T> news) {
  if (news) fact = std::move(news);
}

void Fill(std::string& fact, std::string news) {
  if (!news.empty()) fact = std::move(news);
}

class Pages {
 public:
  Pages(net::HttpClient& client, int64_t limit_ns) : client_(client), limit_ns_(limit_ns) {}
  Result<Json> Object(const std::string& path) {
    ASSIGN_OR_RETURN(const std::optional<std::string> body, Body(path));
    if (!body) return Json(nullptr);
    auto parsed = ParseJson(*body);
    return parsed.ok() ? std::move(parsed).value() : Json(nullptr);
  }
  // Null when the page is not there.
  Result<std::optional<std::string>> Body(const std::string& path) {
    ASSIGN_OR_RETURN(auto response, client_.Fetch({.method = "GET", .path = path}, limit_ns_));
    return response.status == 200 ? std::optional(std::move(response.body)) : std::nullopt;
  }

 private:
  net::HttpClient& client_;
  int64_t limit_ns_;
};

// The list of models: vLLM and SGLang name the folder they loaded (`root`), llama-server describes the file (`meta`).
void TakeModels(const Json& page, ServerKind kind, ServerFacts& facts) {
  const Json& model = At(page, "data/0");
  Fill(facts.model_path, Text(model, "root"));
  Fill(facts.context_tokens, Number(model, "max_model_len"));
  Fill(facts.vocabulary, Number(model, "meta/n_vocab"));
  if (facts.vocabulary) facts.vocabulary_page = "n_vocab of /v1/models";
  // transformers serves a model under the path that it was started with.
  if (kind == ServerKind::kTransformers) Fill(facts.model_path, Text(model, "id"));
}

void TakeSglang(const Json& page, ServerFacts& facts) {
  if (!page.is_object() || page.empty()) return;
  Fill(facts.model_path, Text(page, "model_path"));
  Fill(facts.context_tokens, Number(page, "context_length"));
  Fill(facts.max_running, Number(page, "max_running_requests"));
  Fill(facts.max_running, Number(page, "internal_states/0/effective_max_running_requests_per_dp"));
  Fill(facts.prefill_chunk, Number(page, "chunked_prefill_size"));
  Fill(facts.tensor_parallel, Number(page, "tp_size"));
  Fill(facts.data_parallel, Number(page, "dp_size"));
  Fill(facts.expert_parallel, Number(page, "ep_size"));
  Fill(facts.pipeline_parallel, Number(page, "pp_size"));
  Fill(facts.dtype, Text(page, "dtype"));
  Fill(facts.kv_dtype, Text(page, "kv_cache_dtype"));
  Fill(facts.quantization, Text(page, "quantization"));
  Fill(facts.device, Text(page, "device"));
  Fill(facts.returns_experts, Flag(page, "enable_return_routed_experts"));
  Fill(facts.tells_cached_tokens, Flag(page, "enable_cache_report"));
  Fill(facts.has_pass_metrics, Flag(page, "enable_forward_pass_metrics"));
  // The engine of each data-parallel rank has one of its own.
  if (const std::string base = Text(page, "internal_states/0/forward_pass_metrics_ipc_name"); !base.empty())
    facts.pass_metrics_address = base + ".0";
  if (page.contains("expert_distribution_recorder_mode")) facts.recorder_mode = Text(page, "expert_distribution_recorder_mode");
}

// Of vLLM in development mode: its whole configuration.
void TakeVllm(const Json& page, ServerFacts& facts) {
  const Json& config = At(page, "vllm_config");
  Fill(facts.tensor_parallel, Number(config, "parallel_config/tensor_parallel_size"));
  Fill(facts.data_parallel, Number(config, "parallel_config/data_parallel_size"));
  Fill(facts.pipeline_parallel, Number(config, "parallel_config/pipeline_parallel_size"));
  Fill(facts.max_running, Number(config, "scheduler_config/max_num_seqs"));
  Fill(facts.prefill_chunk, Number(config, "scheduler_config/max_num_batched_tokens"));
  Fill(facts.quantization, Text(config, "model_config/quantization"));
}

void TakeProps(const Json& page, ServerFacts& facts) {
  Fill(facts.model_path, Text(page, "model_path"));
  Fill(facts.context_tokens, Number(page, "default_generation_settings/n_ctx"));
  Fill(facts.max_running, Number(page, "total_slots"));
  facts.tells_cached_tokens = true;
}

void TakeTgi(const Json& page, ServerFacts& facts) {
  Fill(facts.model_path, Text(page, "model_id"));
  Fill(facts.dtype, Text(page, "model_dtype"));
  Fill(facts.device, Text(page, "model_device_type"));
  Fill(facts.context_tokens, Number(page, "max_total_tokens"));
  Fill(facts.max_running, Number(page, "max_concurrent_requests"));
}

// The value of a label of the first sample with that name: vllm:cache_config_info{cache_dtype="auto",...} 1.0
std::string Label(std::string_view page, std::string_view name, std::string_view label) {
  const size_t begin = page.find("\n" + std::string(name) + "{");
  if (begin == std::string_view::npos) return "";
  const std::string_view line = page.substr(begin + 1, page.find('\n', begin + 1) - begin - 1);
  const std::string mark = std::string(label) + "=\"";
  const size_t at = line.find(mark);
  if (at == std::string_view::npos) return "";
  const size_t value = at + mark.size();
  return std::string(line.substr(value, line.find('"', value) - value));
}

Result<ServerFacts> ReadKindsPage(Pages& pages, ServerKind kind, ServerFacts facts) {
  switch (kind) {
    case ServerKind::kSglang:
      for (const char* path : {"/server_info", "/get_server_info"}) {
        ASSIGN_OR_RETURN(const Json page, pages.Object(path));
        TakeSglang(page, facts);
        if (page.is_object()) break;
      }
      break;
    case ServerKind::kVllm: {
      ASSIGN_OR_RETURN(const Json page, pages.Object("/server_info?config_format=json"));
      TakeVllm(page, facts);
      break;
    }
    case ServerKind::kLlamaServer: {
      ASSIGN_OR_RETURN(const Json page, pages.Object("/props"));
      TakeProps(page, facts);
      break;
    }
    case ServerKind::kTgi: {
      ASSIGN_OR_RETURN(const Json page, pages.Object("/info"));
      TakeTgi(page, facts);
      break;
    }
    default:
      break;
  }
  return facts;
}

}  // namespace

Result<ServerFacts> ReadServerFacts(net::HttpClient& client, const ServerIdentity& identity, const std::string& version,
                                    int64_t limit_ns) {
  Pages pages(client, limit_ns);
  ServerFacts facts;
  ASSIGN_OR_RETURN(const Json models, pages.Object(version + "/models"));
  TakeModels(models, identity.kind, facts);
  ASSIGN_OR_RETURN(facts, ReadKindsPage(pages, identity.kind, std::move(facts)));
  ASSIGN_OR_RETURN(const std::optional<std::string> metrics, pages.Body("/metrics"));
  facts.has_metrics = metrics && (metrics->starts_with('#') || metrics->find("\n# ") != std::string::npos);
  if (*facts.has_metrics) Fill(facts.kv_dtype, Label(*metrics, "vllm:cache_config_info", "cache_dtype"));
  return facts;
}

std::vector<std::pair<std::string, std::string>> InWords(const ServerFacts& facts) {
  std::vector<std::pair<std::string, std::string>> words;
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) words.emplace_back(name, value);
  };
  const auto number = [&](const char* name, const std::optional<int64_t>& value, const char* unit = "") {
    if (value) words.emplace_back(name, fmt::format("{}{}", *value, unit));
  };
  text("model path", facts.model_path);
  number("vocabulary", facts.vocabulary, " ids");
  number("context", facts.context_tokens, " tokens");
  number("batch limit", facts.max_running, " requests");
  number("prefill chunk", facts.prefill_chunk, " tokens");
  number("tensor parallel", facts.tensor_parallel);
  number("data parallel", facts.data_parallel);
  number("expert parallel", facts.expert_parallel);
  number("pipeline parallel", facts.pipeline_parallel);
  text("dtype", facts.dtype);
  text("KV dtype", facts.kv_dtype);
  text("quantization", facts.quantization);
  text("device", facts.device);
  return words;
}

}  // namespace moecap::openai
