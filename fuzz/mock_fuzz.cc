// What the simulated server reads from a client: an HTTP request, and in it the body of each dialect's routes. A request that
// is complete is complete again from its own bytes alone.
#include "fuzz/fuzz.h"
#include "mock/answer_stream.h"
#include "mock/http_request.h"
#include "mock/tokenizer.h"

namespace {

using namespace moecap::mock;

void ReadBody(std::string_view body) {
  constexpr std::pair<Dialect, const char*> kRoutes[] = {
      {Dialect::kVllm, "/v1/completions"},    {Dialect::kSglang, "/generate"},     {Dialect::kTrtllm, "/v1/chat/completions"},
      {Dialect::kLlamaServer, "/completion"}, {Dialect::kTgi, "/generate_stream"}, {Dialect::kOllama, "/api/chat"}};
  for (const auto& [dialect, path] : kRoutes) {
    auto parsed = ParseApiRequest(dialect, *RouteOf(dialect, path), path, body, {1000, 4096});
    auto* request = std::get_if<ApiRequest>(&parsed);
    if (request == nullptr) continue;
    CHECK(!request->prompt.empty());
    for (const int32_t id : request->prompt) CHECK(id >= 0 && id < 1000);
    CHECK(request->max_tokens.value_or(1) >= 1);
    FaultSet faults;
    const auto specs = ParseFaults(request->faults);
    if (specs.ok()) {
      for (const Fault& fault : specs.value()) faults.Add(fault);
    }
    AnswerStream stream(dialect, std::move(*request), {}, faults, {});
    AnswerBytes bytes;
    stream.Begin(bytes);
    for (int i = 0; i < 3 && !stream.ended(); ++i) stream.Token(100 + i, i == 2 ? "stop" : "", {i + 1}, bytes);
    CHECK(stream.ended());
  }
  (void)TextToTokenize(body);
  (void)IdsToDetokenize(body);
  for (const int32_t id : Tokenize(body, 1000)) CHECK(id >= 0 && id < 1000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = moecap::fuzz::Text(data, size);
  HttpRequest request;
  const HttpParse parse = ParseHttpRequest(text, request);
  if (parse.state == HttpParse::State::kComplete) {
    CHECK(parse.consumed <= size);
    HttpRequest again;
    CHECK(ParseHttpRequest(text.substr(0, parse.consumed), again).state == HttpParse::State::kComplete);
    CHECK(again.body == request.body);
    ReadBody(request.body);
  }
  ReadBody(text);
  return 0;
}
