// Which HTTP interface is spoken, and which server speaks it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/stream_parser.h"

namespace moecap::openai {

enum class Api {
  kCompletions,     // /v1/completions
  kChat,            // /v1/chat/completions
  kResponses,       // /v1/responses, OpenAI's
  kMessages,        // /v1/messages, Anthropic's
  kSglangGenerate,  // SGLang /generate
  kTgiGenerate,     // TGI /generate_stream
  kOllamaGenerate,  // Ollama /api/generate
  kOllamaChat,      // Ollama /api/chat
  kLlamaServer,     // llama-server /completion
};

// Decides which fields a request carries: what one server needs, another refuses.
enum class ServerKind {
  kUnknown,
  kVllm,
  kSglang,
  kTensorRtLlm,
  kLlamaServer,
  kTgi,
  kOllama,
  kTransformers,    // transformers serve
  kFastllm,         // ftllm server
  kLlamaCppPython,  // python -m llama_cpp.server
  kLitGpt           // litgpt serve
};

// "completions", "chat", "responses", "messages", "sglang", "tgi", "ollama", "ollama-chat", "llama-server".
std::string_view Name(Api api);
// Error: kBadInput naming the choices.
Result<Api> ParseApi(const std::string& name);

// "vLLM", "SGLang", "TensorRT-LLM", "llama-server", "TGI", "Ollama", "transformers", "fastllm", "llama-cpp-python", "LitGPT",
// "unknown".
std::string_view Name(ServerKind kind);
// Upper and lower case are the same. Error: kBadInput naming the choices.
Result<ServerKind> ParseServerKind(const std::string& name);

// Where a request goes.
std::string_view Path(Api api, bool stream);
// The interface whose whole path `path` ends in, and what stands before it; null = none. "/proxy/v1/chat/completions".
struct PathEnd {
  Api api = Api::kCompletions;
  std::string_view before;
};
std::optional<PathEnd> FindPathEnd(std::string_view path);
// Whether a stream of the interface ends with "[DONE]".
bool EndsWithDone(Api api);
net::StreamFormat Format(Api api);
bool IsChat(Api api);

// Members of a request to /v1/completions or /v1/chat/completions, beyond OpenAI's own, that a server takes; for the other
// interfaces only the first two have a meaning.
struct RequestFields {
  bool token_ids = false;         // the prompt as a list of ids
  bool ignore_end = false;        // ignore_eos: as many tokens as asked for, exactly
  bool min_tokens = false;        // beside ignore_eos
  bool usage = false;             // stream_options.include_usage
  bool running_usage = false;     // stream_options.continuous_usage_stats
  bool return_token_ids = false;  // the answer's ids ...
  bool ids_in_streams = true;     // ... also of one that is streamed
  bool cache_salt = false;        // cache_salt
  bool no_cache_prompt = false;   // cache_prompt: false, llama-server's
  bool token_timings = false;     // timings_per_token, llama-server's
  bool uuid_request_id = false;   // any other x-request-id is refused

  bool operator==(const RequestFields&) const = default;
};
// What servers of that kind are known to take. Of those that are not known well (AsksForFields) the least.
RequestFields FieldsOf(Api api, ServerKind kind);
// Whether the fields must be found out by asking this very server: it is a stranger, or refuses what it does not know.
bool AsksForFields(ServerKind kind);
// Whether a server of that kind may put routed experts into its answers.
bool MayTellExperts(ServerKind kind);
bool NeedsModelName(Api api);

}  // namespace moecap::openai
