#include "mock/api_request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "mock/engine.h"
#include "mock/sampling.h"
#include "mock/tokenizer.h"

namespace moecap::mock {
namespace {

namespace dom = simdjson::dom;

constexpr int64_t kMostOutputTokens = int64_t{1} << 40;  // so that sums of tokens stay in range

struct PathRow {
  const char* path;
  Dialect dialect;
  Route route;
};

// The OpenAI routes, which all have, are not listed.
constexpr std::array kPaths = {
    PathRow{"/generate", Dialect::kSglang, Route::kSglangGenerate},
    PathRow{"/completion", Dialect::kLlamaServer, Route::kLlamaCompletion},
    PathRow{"/completions", Dialect::kLlamaServer, Route::kLlamaCompletion},
    PathRow{"/generate", Dialect::kTgi, Route::kTgiGenerate},
    PathRow{"/generate_stream", Dialect::kTgi, Route::kTgiGenerate},
    PathRow{"/api/generate", Dialect::kOllama, Route::kOllamaGenerate},
    PathRow{"/api/chat", Dialect::kOllama, Route::kOllamaChat},
};

// What trtllm-serve accepts on its OpenAI routes; it refuses everything else.
constexpr std::array kTrtllmKeys = {"model",
                                    "prompt",
                                    "messages",
                                    "max_tokens",
                                    "max_completion_tokens",
                                    "min_tokens",
                                    "stream",
                                    "stream_options",
                                    "ignore_eos",
                                    "temperature",
                                    "top_p",
                                    "top_k",
                                    "min_p",
                                    "seed",
                                    "stop",
                                    "stop_token_ids",
                                    "n",
                                    "best_of",
                                    "echo",
                                    "logprobs",
                                    "top_logprobs",
                                    "presence_penalty",
                                    "frequency_penalty",
                                    "repetition_penalty",
                                    "length_penalty",
                                    "user",
                                    "suffix",
                                    "logit_bias",
                                    "detokenize",
                                    "skip_special_tokens",
                                    "add_special_tokens",
                                    "return_context_logits",
                                    "response_format",
                                    "tools",
                                    "tool_choice",
                                    "cache_salt",
                                    "include_stop_str_in_output",
                                    "spaces_between_special_tokens",
                                    "truncate_prompt_tokens",
                                    "use_beam_search",
                                    "prompt_ignore_length",
                                    "lora_request",
                                    "disaggregated_params",
                                    "mock_fault"};

// Collects what a body says; the first error wins.
class Reader {
 public:
  Reader(Dialect dialect, const ApiLimits& limits) : dialect_(dialect), limits_(limits) {}

  ApiRequest request;
  std::optional<ApiError> error;

  void Fail(std::string message) {
    if (!error) error = ApiError{dialect_ == Dialect::kTgi ? 422 : 400, std::move(message)};
  }

  void Bool(dom::object object, const char* key, bool& value) {
    dom::element element;
    if (object[key].get(element) != simdjson::SUCCESS || element.is_null()) return;
    if (element.get(value) != simdjson::SUCCESS) Fail(fmt::format("{}: must be true or false", key));
  }
  std::optional<int64_t> Integer(dom::object object, const char* key) {
    dom::element element;
    if (object[key].get(element) != simdjson::SUCCESS || element.is_null()) return std::nullopt;
    int64_t value = 0;
    if (element.get(value) == simdjson::SUCCESS) return value;
    Fail(fmt::format("{}: must be an integer", key));
    return std::nullopt;
  }
  // A positive limit; llama-server and Ollama write "no limit" as -1.
  void Limit(dom::object object, const char* key) {
    const auto value = Integer(object, key);
    if (!value || (*value == -1 && (dialect_ == Dialect::kLlamaServer || dialect_ == Dialect::kOllama))) return;
    if (*value < 1) return Fail(fmt::format("{} must be at least 1, got {}.", key, *value));
    request.max_tokens = std::min(*value, kMostOutputTokens);
  }
  void Text(dom::object object, const char* key, std::string& value) {
    std::string_view text;
    if (object[key].get(text) == simdjson::SUCCESS) value = text;
  }

  void Prompt(dom::element prompt, const char* key) {
    std::string_view text;
    dom::array list;
    if (prompt.get(text) == simdjson::SUCCESS) return Append(text);
    if (prompt.get(list) != simdjson::SUCCESS) return Fail(fmt::format("{}: must be a text or a list of token ids", key));
    // [[1, 2]] and ["text"] are batches of one.
    if (list.size() == 1 && !list.at(0).is_int64()) return Prompt(list.at(0), key);
    for (const dom::element entry : list) {
      int64_t id = 0;
      if (entry.get(id) == simdjson::SUCCESS) {
        if (id < 0 || id >= limits_.vocab) return FailVocabulary(id);
        request.prompt.push_back(static_cast<int32_t>(id));
      } else if (dialect_ == Dialect::kLlamaServer && entry.get(text) == simdjson::SUCCESS) {
        Append(text);
      } else {
        return Fail(fmt::format("{}: this server takes one prompt a request", key));
      }
    }
  }

  // One token for the role, then the content; the answer follows the assistant's role token. What a conversation adds leaves
  // what came before as it was.
  void Messages(dom::object object) {
    dom::array messages;
    if (object["messages"].get(messages) != simdjson::SUCCESS) return Fail("messages: field required");
    for (const dom::element message : messages) {
      std::string_view role;
      if (message["role"].get(role) != simdjson::SUCCESS) return Fail("messages: each needs a role");
      AppendRole(role);
      request.text.clear();
      Content(message);
    }
    if (request.prompt.empty()) return Fail("messages: must not be empty");
    AppendRole("assistant");
  }

 private:
  // SGLang 0.5.23 does not check: its engine fails on the embedding.
  void FailVocabulary(int64_t id) {
    if (dialect_ != Dialect::kSglang) return Fail(fmt::format("token id {} is out of vocabulary", id));
    if (!error) error = ApiError{500, "IndexError: index out of range in self"};
  }
  void Append(std::string_view text) {
    request.text += text;
    const std::vector<int32_t> ids = Tokenize(text, limits_.vocab);
    request.prompt.insert(request.prompt.end(), ids.begin(), ids.end());
  }
  void AppendRole(std::string_view role) {
    const auto words = static_cast<uint64_t>(limits_.vocab - kFirstWordToken);
    request.prompt.push_back(static_cast<int32_t>(kFirstWordToken + Mix(HashOf(role), 1) % words));
  }
  void Content(dom::element message) {
    std::string_view text;
    dom::array parts;
    if (message["content"].get(text) == simdjson::SUCCESS) return Append(text);
    if (message["content"].get(parts) != simdjson::SUCCESS) return;
    for (const dom::element part : parts) {
      if (part["text"].get(text) == simdjson::SUCCESS) Append(text);
    }
  }

  Dialect dialect_;
  const ApiLimits& limits_;
};

// As vLLM 0.30 does.
void CheckSalt(Reader& reader, std::string_view salt) {
  constexpr size_t kMostSaltBytes = 128;
  constexpr std::string_view kRefused("@/\\\0", 4);
  if (salt.size() > kMostSaltBytes || salt.find_first_of(kRefused) != std::string_view::npos)
    reader.Fail("cache_salt must be at most 128 characters and must not contain '@', '/', '\\', or NUL");
}

void ReadOpenAi(Reader& reader, dom::object body, Dialect dialect) {
  ApiRequest& request = reader.request;
  const bool chat = request.route == Route::kChat;
  // The standard's default where the server follows it; elsewhere a request without a limit runs until the model ends.
  const bool short_default = dialect == Dialect::kVllm || dialect == Dialect::kSglang || dialect == Dialect::kTrtllm;
  if (!chat && short_default) request.max_tokens = 16;
  reader.Limit(body, "max_tokens");
  reader.Limit(body, "max_completion_tokens");
  reader.Bool(body, "stream", request.stream);
  request.include_usage = dialect == Dialect::kTrtllm;
  dom::object options;
  if (body["stream_options"].get(options) == simdjson::SUCCESS) {
    reader.Bool(options, "include_usage", request.include_usage);
    reader.Bool(options, "continuous_usage_stats", request.continuous_usage);
  }
  if (short_default || dialect == Dialect::kLlamaServer) reader.Bool(body, "ignore_eos", request.ignore_eos);
  if (short_default) request.min_tokens = reader.Integer(body, "min_tokens").value_or(0);
  reader.Bool(body, "return_token_ids", request.return_token_ids);
  // As SGLang 0.5.23 does.
  if (dialect == Dialect::kSglang && chat && request.stream && request.return_token_ids)
    reader.Fail("return_token_ids is not supported in a streamed chat");
  if (dialect == Dialect::kLlamaServer) reader.Bool(body, "timings_per_token", request.continuous_usage);
  dom::element prompt;
  if (chat) {
    reader.Messages(body);
  } else if (body["prompt"].get(prompt) == simdjson::SUCCESS) {
    reader.Prompt(prompt, "prompt");
  } else {
    reader.Fail("prompt: field required");
  }
  if (reader.Integer(body, "n").value_or(1) != 1) reader.Fail("n: this server gives one choice a request");
}

void ReadSglang(Reader& reader, dom::object body) {
  ApiRequest& request = reader.request;
  request.max_tokens = 128;
  reader.Bool(body, "stream", request.stream);
  dom::object sampling;
  if (body["sampling_params"].get(sampling) == simdjson::SUCCESS) {
    reader.Limit(sampling, "max_new_tokens");
    request.min_tokens = reader.Integer(sampling, "min_new_tokens").value_or(0);
    reader.Bool(sampling, "ignore_eos", request.ignore_eos);
  }
  dom::element prompt;
  if (body["input_ids"].get(prompt) == simdjson::SUCCESS) return reader.Prompt(prompt, "input_ids");
  if (body["text"].get(prompt) == simdjson::SUCCESS) return reader.Prompt(prompt, "text");
  reader.Fail("text or input_ids: one is required");
}

void ReadLlama(Reader& reader, dom::object body) {
  ApiRequest& request = reader.request;
  reader.Limit(body, "n_predict");
  reader.Limit(body, "max_tokens");
  reader.Bool(body, "stream", request.stream);
  reader.Bool(body, "ignore_eos", request.ignore_eos);
  reader.Bool(body, "return_tokens", request.return_token_ids);
  reader.Bool(body, "return_progress", request.return_progress);
  reader.Bool(body, "timings_per_token", request.continuous_usage);
  dom::element prompt;
  if (body["prompt"].get(prompt) != simdjson::SUCCESS) return reader.Fail("\"prompt\" must be provided");
  reader.Prompt(prompt, "prompt");
}

void ReadTgi(Reader& reader, dom::object body) {
  reader.request.max_tokens = 100;
  dom::object parameters;
  if (body["parameters"].get(parameters) == simdjson::SUCCESS) reader.Limit(parameters, "max_new_tokens");
  dom::element inputs;
  std::string_view text;
  if (body["inputs"].get(inputs) != simdjson::SUCCESS || inputs.get(text) != simdjson::SUCCESS) {
    return reader.Fail("inputs: field required, a text");
  }
  reader.Prompt(inputs, "inputs");
}

void ReadOllama(Reader& reader, dom::object body) {
  ApiRequest& request = reader.request;
  request.stream = true;
  reader.Bool(body, "stream", request.stream);
  dom::object options;
  if (body["options"].get(options) == simdjson::SUCCESS) reader.Limit(options, "num_predict");
  if (request.route == Route::kOllamaChat) return reader.Messages(body);
  dom::element prompt;
  std::string_view text;
  if (body["prompt"].get(prompt) != simdjson::SUCCESS || prompt.get(text) != simdjson::SUCCESS) {
    return reader.Fail("prompt must be a text");
  }
  reader.Prompt(prompt, "prompt");
}

void RefuseUnknownKeys(Reader& reader, dom::object body) {
  for (const auto [key, value] : body) {
    if (std::find(kTrtllmKeys.begin(), kTrtllmKeys.end(), key) == kTrtllmKeys.end()) {
      return reader.Fail(fmt::format("{}: Extra inputs are not permitted", key));
    }
  }
}

void CheckContext(Reader& reader, const ApiLimits& limits) {
  const auto prompt = static_cast<int64_t>(reader.request.prompt.size());
  if (prompt == 0) return reader.Fail("the prompt is empty");
  if (limits.max_context == 0) return;
  const int64_t wanted = prompt + reader.request.max_tokens.value_or(1);
  if (wanted <= limits.max_context) return;
  reader.Fail(
      fmt::format("This model's maximum context length is {} tokens. However, you requested {} tokens ({} in the prompt, "
                  "{} in the completion).",
                  limits.max_context, wanted, prompt, wanted - prompt));
}

// An empty view may have no bytes at all, from which simdjson would copy.
bool ParseObject(dom::parser& parser, std::string_view body, dom::object& object) {
  return !body.empty() && parser.parse(body.data(), body.size()).get(object) == simdjson::SUCCESS;
}

}  // namespace

std::optional<Route> RouteOf(Dialect dialect, std::string_view path) {
  if (path == "/v1/completions") return Route::kCompletions;
  if (path == "/v1/chat/completions") return Route::kChat;
  for (const PathRow& row : kPaths) {
    if (row.dialect == dialect && path == row.path) return row.route;
  }
  return std::nullopt;
}

std::variant<ApiRequest, ApiError> ParseApiRequest(Dialect dialect, Route route, std::string_view path, std::string_view body,
                                                   const ApiLimits& limits) {
  thread_local dom::parser parser;
  Reader reader(dialect, limits);
  reader.request.route = route;
  reader.request.stream = path == "/generate_stream";
  dom::object object;
  if (!ParseObject(parser, body, object)) {
    reader.Fail("the body is not a JSON object");
    return *reader.error;
  }
  if (dialect == Dialect::kTrtllm) RefuseUnknownKeys(reader, object);
  ApiRequest& request = reader.request;
  reader.Text(object, "model", request.model);
  reader.Text(object, "mock_fault", request.faults);
  std::string salt;
  reader.Text(object, dialect == Dialect::kSglang ? "extra_key" : "cache_salt", salt);
  reader.Text(object, "cache_salt", salt);
  if (dialect == Dialect::kVllm) CheckSalt(reader, salt);
  if (!salt.empty() && dialect != Dialect::kTgi && dialect != Dialect::kOllama) request.cache_salt = salt;
  if (dialect == Dialect::kLlamaServer) reader.Bool(object, "cache_prompt", request.cache_prompt);
  if (dialect == Dialect::kSglang) {
    reader.Bool(object, "return_routed_experts", request.return_routed_experts);
    request.routed_experts_start = reader.Integer(object, "routed_experts_start_len").value_or(0);
  } else if (dialect == Dialect::kVllm) {
    request.routed_experts_start = reader.Integer(object, "routed_experts_prompt_start").value_or(0);
  }
  switch (route) {
    case Route::kCompletions:
    case Route::kChat:
      ReadOpenAi(reader, object, dialect);
      break;
    case Route::kSglangGenerate:
      ReadSglang(reader, object);
      break;
    case Route::kLlamaCompletion:
      ReadLlama(reader, object);
      break;
    case Route::kTgiGenerate:
      ReadTgi(reader, object);
      break;
    case Route::kOllamaGenerate:
    case Route::kOllamaChat:
      ReadOllama(reader, object);
      break;
  }
  CheckContext(reader, limits);
  if (reader.error) return *reader.error;
  request.min_tokens = std::max<int64_t>(request.min_tokens, 0);
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  request.routed_experts_start = std::clamp<int64_t>(request.routed_experts_start, 0, prompt);
  return std::move(request);
}

std::optional<std::string> TextToTokenize(std::string_view body) {
  dom::parser parser;
  dom::object object;
  if (!ParseObject(parser, body, object)) return std::nullopt;
  for (const char* key : {"prompt", "content", "text", "inputs"}) {
    std::string_view text;
    if (object[key].get(text) == simdjson::SUCCESS) return std::string(text);
  }
  return std::nullopt;
}

std::optional<std::vector<int32_t>> IdsToDetokenize(std::string_view body) {
  dom::parser parser;
  dom::object object;
  dom::array list;
  if (!ParseObject(parser, body, object)) return std::nullopt;
  if (object["tokens"].get(list) != simdjson::SUCCESS) return std::nullopt;
  std::vector<int32_t> ids;
  for (const dom::element entry : list) {
    int64_t id = 0;
    if (entry.get(id) != simdjson::SUCCESS || id < 0 || id > INT32_MAX) return std::nullopt;
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

}  // namespace moecap::mock
