#include "system/openai/dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace moecap::openai {
namespace {

struct ApiRow {
  Api api;
  std::string_view name, stream_path, whole_path;
};

constexpr std::array kApis{
    ApiRow{Api::kCompletions, "completions", "/v1/completions", "/v1/completions"},
    ApiRow{Api::kChat, "chat", "/v1/chat/completions", "/v1/chat/completions"},
    ApiRow{Api::kResponses, "responses", "/v1/responses", "/v1/responses"},
    ApiRow{Api::kMessages, "messages", "/v1/messages", "/v1/messages"},
    ApiRow{Api::kSglangGenerate, "sglang", "/generate", "/generate"},
    ApiRow{Api::kTgiGenerate, "tgi", "/generate_stream", "/generate"},
    ApiRow{Api::kOllamaGenerate, "ollama", "/api/generate", "/api/generate"},
    ApiRow{Api::kOllamaChat, "ollama-chat", "/api/chat", "/api/chat"},
    ApiRow{Api::kLlamaServer, "llama-server", "/completion", "/completion"},
};

constexpr std::array kServers{
    std::pair{ServerKind::kUnknown, "unknown"}, std::pair{ServerKind::kVllm, "vLLM"},
    std::pair{ServerKind::kSglang, "SGLang"},   std::pair{ServerKind::kTensorRtLlm, "TensorRT-LLM"},
    std::pair{ServerKind::kTgi, "TGI"},         std::pair{ServerKind::kLlamaServer, "llama-server"},
    std::pair{ServerKind::kOllama, "Ollama"},   std::pair{ServerKind::kTransformers, "transformers"},
    std::pair{ServerKind::kFastllm, "fastllm"}, std::pair{ServerKind::kLlamaCppPython, "llama-cpp-python"},
    std::pair{ServerKind::kLitGpt, "LitGPT"},
};

const ApiRow& Row(Api api) {
  return *std::find_if(kApis.begin(), kApis.end(), [&](const ApiRow& row) { return row.api == api; });
}

bool SameWord(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string_view Name(Api api) { return Row(api).name; }

Result<Api> ParseApi(const std::string& name) {
  std::string choices;
  for (const ApiRow& row : kApis) {
    if (row.name == name) return row.api;
    choices += fmt::format("{}{}", choices.empty() ? "" : ", ", row.name);
  }
  return BadInput(fmt::format("unknown api \"{}\"; known: {}", name, choices));
}

std::string_view Name(ServerKind kind) {
  for (const auto& [value, name] : kServers) {
    if (value == kind) return name;
  }
  CHECK(false);
}

Result<ServerKind> ParseServerKind(const std::string& name) {
  std::string choices;
  for (const auto& [kind, known] : kServers) {
    if (SameWord(name, known)) return kind;
    choices += fmt::format("{}{}", choices.empty() ? "" : ", ", known);
  }
  return BadInput(fmt::format("unknown server kind \"{}\"; known: {}", name, choices));
}

std::string_view Path(Api api, bool stream) { return stream ? Row(api).stream_path : Row(api).whole_path; }

std::optional<PathEnd> FindPathEnd(std::string_view path) {
  const ApiRow* found = nullptr;
  size_t longest = 0;
  for (const ApiRow& row : kApis) {
    for (const std::string_view known : {row.stream_path, row.whole_path}) {
      if (known.size() <= longest || !path.ends_with(known)) continue;
      found = &row;
      longest = known.size();
    }
  }
  if (found == nullptr) return std::nullopt;
  return PathEnd{found->api, path.substr(0, path.size() - longest)};
}

bool EndsWithDone(Api api) { return api == Api::kCompletions || api == Api::kChat; }

net::StreamFormat Format(Api api) {
  return api == Api::kOllamaGenerate || api == Api::kOllamaChat ? net::StreamFormat::kNdjson
                                                                : net::StreamFormat::kServerSentEvents;
}

bool IsChat(Api api) { return api == Api::kChat || api == Api::kOllamaChat || api == Api::kResponses || api == Api::kMessages; }

RequestFields FieldsOf(Api api, ServerKind kind) {
  RequestFields fields;
  if (api == Api::kSglangGenerate || api == Api::kLlamaServer) fields.token_ids = fields.ignore_end = true;
  if (api != Api::kCompletions && api != Api::kChat) return fields;
  const bool vllm_like = kind == ServerKind::kVllm || kind == ServerKind::kSglang;
  const bool batching = vllm_like || kind == ServerKind::kTensorRtLlm;
  const bool llama = kind == ServerKind::kLlamaServer;
  const bool takes_text = kind == ServerKind::kTgi || kind == ServerKind::kOllama || kind == ServerKind::kTransformers ||
                          kind == ServerKind::kFastllm || kind == ServerKind::kLlamaCppPython || kind == ServerKind::kLitGpt;
  fields.token_ids = api == Api::kCompletions && !takes_text;
  fields.ignore_end = batching || llama;
  fields.min_tokens = batching;
  fields.usage = true;
  fields.running_usage = batching;
  // SGLang refuses it in a chat that is streamed.
  fields.return_token_ids = vllm_like;
  fields.ids_in_streams = !(kind == ServerKind::kSglang && api == Api::kChat);  // refused there
  fields.cache_salt = batching;
  fields.no_cache_prompt = fields.token_timings = llama;
  fields.uuid_request_id = kind == ServerKind::kLlamaCppPython;
  return fields;
}

bool AsksForFields(ServerKind kind) {
  return kind == ServerKind::kUnknown || kind == ServerKind::kTransformers || kind == ServerKind::kFastllm ||
         kind == ServerKind::kLlamaCppPython || kind == ServerKind::kLitGpt;
}

bool MayTellExperts(ServerKind kind) {
  return kind == ServerKind::kVllm || kind == ServerKind::kSglang || kind == ServerKind::kUnknown;
}

bool NeedsModelName(Api api) { return api == Api::kCompletions || api == Api::kOllamaGenerate || IsChat(api); }

}  // namespace moecap::openai
