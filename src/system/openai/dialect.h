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
enum class ServerKind { kUnknown, kVllm, kSglang, kTensorRtLlm, kLlamaServer, kTgi, kOllama };

// "completions", "chat", "responses", "messages", "sglang", "tgi", "ollama", "ollama-chat", "llama-server".
std::string_view Name(Api api);
// Error: kBadInput naming the choices.
Result<Api> ParseApi(const std::string& name);

// "vLLM", "SGLang", "TensorRT-LLM", "llama-server", "TGI", "Ollama", "unknown".
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
// Whether prompts can be given as token ids.
bool TakesTokenIds(Api api, ServerKind kind);
// Whether a request can be made to generate exactly as many tokens as asked for.
bool CanIgnoreEndToken(Api api, ServerKind kind);
bool NeedsModelName(Api api);

}  // namespace moecap::openai
