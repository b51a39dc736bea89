// A generation request of any dialect, read from its JSON body.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mock/dialect.h"

namespace moecap::mock {

enum class Route { kCompletions, kChat, kSglangGenerate, kLlamaCompletion, kTgiGenerate, kOllamaGenerate, kOllamaChat };

// The route that `path` of a POST names in `dialect`; null: none that generates.
std::optional<Route> RouteOf(Dialect dialect, std::string_view path);

struct ApiRequest {
  Route route = Route::kCompletions;
  std::string model;  // as asked for; empty = not said
  std::vector<int32_t> prompt;
  std::string text;  // the prompt where it is a text; of a chat its last message
  bool stream = false;
  std::optional<int64_t> max_tokens;  // null: until the model ends
  int64_t min_tokens = 0;
  bool ignore_eos = false;
  bool include_usage = false;
  bool continuous_usage = false;  // usage (llama-server: timings) in each event
  bool return_token_ids = false;
  bool return_routed_experts = false;
  int64_t routed_experts_start = 0;
  bool return_progress = false;
  bool cache_prompt = true;
  std::string cache_salt;  // separates cached prefixes; empty = none, or a server that knows no salt
  std::string faults;      // of the field "mock_fault"
};

struct ApiError {
  int status = 400;
  std::string message;
};

struct ApiLimits {
  int64_t vocab = 32000;
  int64_t max_context = 0;  // prompt and output together; 0 = not limited
};

// `path` decides between the streaming and the other route where the dialect has two. Errors are 400 (a body that is no JSON
// object, a missing or empty prompt, a field of the wrong type or, for trtllm, an unknown one) and, for tgi, 422.
std::variant<ApiRequest, ApiError> ParseApiRequest(Dialect dialect, Route route, std::string_view path, std::string_view body,
                                                   const ApiLimits& limits);

// Of /tokenize: the text to tokenise. /detokenize: its ids. Null: the body holds none.
std::optional<std::string> TextToTokenize(std::string_view body);
std::optional<std::vector<int32_t>> IdsToDetokenize(std::string_view body);

}  // namespace moecap::mock
