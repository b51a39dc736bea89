// What the server reads, and what it answers besides generating.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "mock/api_request.h"
#include "mock/engine.h"
#include "mock/format.h"
#include "mock/http_request.h"
#include "mock/info_routes.h"
#include "mock/routed_experts.h"
#include "mock/test_model.h"
#include "mock/tokenizer.h"

namespace moecap::mock {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ApiRequest, ErrorsNameTheField) {
  const auto error = [](Dialect dialect, const char* path, const char* body) {
    const auto parsed = ParseApiRequest(dialect, *RouteOf(dialect, path), path, body, {100, 50});
    const auto* found = std::get_if<ApiError>(&parsed);
    return found == nullptr ? "accepted" : std::to_string(found->status) + " " + found->message;
  };
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", "nonsense"), HasSubstr("400 the body is not a JSON object"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", "[1]"), HasSubstr("400"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", "{}"), HasSubstr("prompt: field required"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":""})"), HasSubstr("the prompt is empty"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":[100]})"), HasSubstr("out of vocabulary"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":[1],"max_tokens":0})"), HasSubstr("at least 1"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":[1],"max_tokens":50})"),
              HasSubstr("maximum context length is 50"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":["a","b"]})"), HasSubstr("one prompt"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":"a","stream":1})"), HasSubstr("stream: must be"));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", R"({"prompt":"a","n":2})"), HasSubstr("n: "));
  EXPECT_THAT(error(Dialect::kVllm, "/v1/chat/completions", R"({"messages":[]})"), HasSubstr("must not be empty"));
  for (const std::string& salt :
       {std::string("a/b"), std::string("a@b"), std::string("a\\\\b"), std::string("a\\u0000b"), std::string(129, 'x')}) {
    const std::string body = R"({"prompt":[1],"max_tokens":1,"cache_salt":")" + salt + "\"}";
    EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", body.c_str()), HasSubstr("400 cache_salt must be at most 128"))
        << salt;
    EXPECT_EQ(error(Dialect::kSglang, "/v1/completions", body.c_str()), "accepted");
  }
  EXPECT_EQ(error(Dialect::kVllm, "/v1/completions", R"({"prompt":[1],"max_tokens":1,"cache_salt":"a-b_c.d"})"), "accepted");
  constexpr const char* kIdsInAChat =
      R"({"messages":[{"role":"user","content":"a"}],"max_tokens":1,"stream":true,"return_token_ids":true})";
  EXPECT_THAT(error(Dialect::kSglang, "/v1/chat/completions", kIdsInAChat), HasSubstr("400 return_token_ids"));
  EXPECT_EQ(error(Dialect::kVllm, "/v1/chat/completions", kIdsInAChat), "accepted");
  constexpr const char* kUnknownId = R"({"prompt":[100],"max_tokens":1})";
  EXPECT_THAT(error(Dialect::kVllm, "/v1/completions", kUnknownId), HasSubstr("400 token id 100 is out of vocabulary"));
  EXPECT_THAT(error(Dialect::kSglang, "/v1/completions", kUnknownId), HasSubstr("500 IndexError"));
  EXPECT_THAT(error(Dialect::kTgi, "/generate", "{}"), HasSubstr("422 inputs"));
  EXPECT_THAT(error(Dialect::kSglang, "/generate", "{}"), HasSubstr("400"));
  EXPECT_EQ(error(Dialect::kVllm, "/v1/completions", R"({"prompt":[[1,2]],"max_tokens":48})"), "accepted");
}

TEST(ApiRequest, RoutesBelongToDialects) {
  EXPECT_EQ(RouteOf(Dialect::kSglang, "/generate"), Route::kSglangGenerate);
  EXPECT_EQ(RouteOf(Dialect::kTgi, "/generate"), Route::kTgiGenerate);
  EXPECT_EQ(RouteOf(Dialect::kVllm, "/generate"), std::nullopt);
  EXPECT_EQ(RouteOf(Dialect::kOllama, "/v1/completions"), Route::kCompletions);
}

TEST(ApiRequest, ChatTurnsKeepTheirPrefix) {
  const auto prompt = [](const std::string& messages) {
    const auto parsed =
        ParseApiRequest(Dialect::kVllm, Route::kChat, "/v1/chat/completions", R"({"messages":[)" + messages + "]}", {100, 0});
    return std::get<ApiRequest>(parsed).prompt;
  };
  const std::string user = R"({"role":"user","content":"one two"})";
  std::vector<int32_t> first = prompt(user);
  ASSERT_EQ(first.size(), 4u);
  const std::vector<int32_t> second =
      prompt(user + R"(,{"role":"assistant","content":" w16 é23"},{"role":"user","content":[{"type":"text","text":"three"}]})");
  first.insert(first.end(), {16, 23});
  ASSERT_EQ(second.size(), 9u);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), second.begin()));
}

TEST(Tokenizer, OwnTextHasItsOwnTokens) {
  std::vector<int32_t> ids;
  for (int32_t id = 3; id < 5000; id += 7) ids.push_back(id);
  EXPECT_EQ(Tokenize(Detokenize(ids), 5000), ids);
  EXPECT_EQ(Detokenize(std::vector<int32_t>{0, 1, kEosToken}), "");
}

TEST(Tokenizer, WordsAndMarksAreTokens) {
  EXPECT_EQ(Tokenize("Hello, wide  world!\n", 1000).size(), 6u);
  EXPECT_EQ(Tokenize("Hello", 1000), Tokenize("Hello", 1000));
  EXPECT_TRUE(Tokenize("", 1000).empty());
  for (const int32_t id : Tokenize(" w0016 w4 w99999 \xff\xfe \xe4", 16)) EXPECT_TRUE(id >= 3 && id < 16);
}

TEST(Http, ParsesPieceByPiece) {
  const std::string text =
      "POST /v1/completions?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX-Mock-Fault:  no-done \r\n\r\nbodyGET";
  HttpRequest request;
  for (size_t size = 0; size < text.size() - 3; ++size) {
    EXPECT_EQ(ParseHttpRequest(text.substr(0, size), request).state, HttpParse::State::kIncomplete) << size;
  }
  const HttpParse parse = ParseHttpRequest(text, request);
  ASSERT_EQ(parse.state, HttpParse::State::kComplete);
  EXPECT_EQ(parse.consumed, text.size() - 3);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/completions");
  EXPECT_EQ(request.body, "body");
  EXPECT_EQ(request.Header("x-mock-fault"), "no-done");
  EXPECT_TRUE(request.keep_alive);
}

TEST(Http, ChunkedBodiesAndContinue) {
  HttpRequest request;
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(ParseHttpRequest(head, request).state, HttpParse::State::kNeedsContinue);
  const std::string body = "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t size = 1; size < body.size(); ++size) {
    EXPECT_EQ(ParseHttpRequest(head + body.substr(0, size), request).state, HttpParse::State::kIncomplete);
  }
  EXPECT_EQ(ParseHttpRequest(head + body, request).state, HttpParse::State::kComplete);
  EXPECT_EQ(request.body, "abcde");
}

TEST(Http, RefusesWhatIsNoRequest) {
  const auto status = [](const std::string& text) {
    HttpRequest request;
    const HttpParse parse = ParseHttpRequest(text, request);
    return parse.state == HttpParse::State::kBad ? parse.status : 0;
  };
  EXPECT_EQ(status("\x16\x03\x01"), 400) << "TLS on a plain port";
  EXPECT_EQ(status("GET /\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/2.0\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
  EXPECT_EQ(status("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n" + std::string(70000, 'a')), 431);
}

TEST(ErrorBody, InEachServersShape) {
  EXPECT_EQ(ErrorBody(Dialect::kVllm, 404, "a \"b\""),
            R"({"error":{"message":"a \"b\"","type":"NotFoundError","param":null,"code":404}})");
  EXPECT_EQ(ErrorBody(Dialect::kSglang, 400, "x"),
            R"({"object":"error","message":"x","type":"BadRequestError","param":null,"code":400})");
  EXPECT_EQ(ErrorBody(Dialect::kTrtllm, 500, "x"),
            R"({"object":"error","message":"x","type":"InternalServerError","param":null,"code":500})");
  EXPECT_EQ(ErrorBody(Dialect::kLlamaServer, 503, "x"), R"({"error":{"code":503,"message":"x","type":"unavailable_error"}})");
  EXPECT_EQ(ErrorBody(Dialect::kTgi, 429, "x"), R"({"error":"x","error_type":"overloaded"})");
  EXPECT_EQ(ErrorBody(Dialect::kOllama, 404, "x"), R"({"error":"x"})");
}

TEST(RoutedExperts, NpyAndPlainIntegersHoldTheRoutersChoices) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("M"), "TQ==");
  EXPECT_EQ(Base64("Ma"), "TWE=");
  EXPECT_EQ(Base64("Man"), "TWFu");
  const model::ModelSpec model = SmallMoe();
  const SampledRouter router(model, 1, 0.5);
  const RoutedSpan span{{5, 6, 7}, 9, 2, 2};
  // Rows 2 and 3 (3 prompt tokens + 2 output - 1 = 4 rows), two layers of which the second is dense, top-2.
  std::string expected;
  for (const RoutedToken token : {RoutedToken{7, 2}, RoutedToken{OutputToken(9, 0, 100), 3}}) {
    std::vector<int32_t> experts;
    router.Experts(0, token, experts);
    for (const int32_t expert : experts) expected += std::string{static_cast<char>(expert), 0, 0, 0};
    expected += std::string(8, '\0');
  }
  EXPECT_EQ(EncodeRoutedExperts(Dialect::kSglang, model, router, span), Base64(expected));
  const std::string npy = EncodeRoutedExperts(Dialect::kVllm, model, router, span);
  std::string header = "\x93NUMPY\x01";
  header += '\0';
  header += '\x76';
  header += '\0';
  std::string dict = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2), }";
  dict.resize(117, ' ');
  std::string bytes = header + dict + "\n";
  for (size_t i = 0; i < expected.size(); i += 4) bytes += expected[i];
  EXPECT_EQ(npy, Base64(bytes));
  EXPECT_TRUE(npy.starts_with("k05VTVBZAQB2AHsnZGVzY3InOiAnfHUxJywg"));
}

TEST(InfoRoutes, MetricsInEachServersNames) {
  Totals totals;
  totals.running = 3;
  totals.generation_tokens = 7;
  totals.ttft.counts[1] = 2;
  totals.ttft.counts[14] = 1;
  PassQueue passes;
  passes.Push({4, 2.5, 2, 1, 1, 9});
  const auto get = [&](Dialect dialect, const char* path) {
    InfoContext context;
    context.dialect = dialect;
    context.model = "m";
    const auto answer = AnswerInfo(context, "GET", path, "", totals, passes);
    return answer ? answer->body : "none";
  };
  EXPECT_THAT(get(Dialect::kVllm, "/metrics"), HasSubstr("vllm:num_requests_running{model_name=\"m\",engine=\"0\"} 3\n"));
  EXPECT_THAT(get(Dialect::kVllm, "/metrics"),
              HasSubstr("vllm:time_to_first_token_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.0025\"} 2\n"));
  EXPECT_THAT(get(Dialect::kVllm, "/metrics"),
              HasSubstr("vllm:time_to_first_token_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(get(Dialect::kSglang, "/metrics"), HasSubstr("sglang:generation_tokens_total{"));
  EXPECT_THAT(get(Dialect::kLlamaServer, "/metrics"), HasSubstr("llamacpp:tokens_predicted_total 7\n"));
  EXPECT_THAT(get(Dialect::kTgi, "/metrics"), HasSubstr("tgi_batch_current_size 3\n"));
  EXPECT_EQ(get(Dialect::kOllama, "/metrics"), "none");
  EXPECT_EQ(
      get(Dialect::kTrtllm, "/metrics"),
      R"([{"iter":4,"iterLatencyMS":2.5,"numActiveRequests":2,"inflightBatchingStats":{"numContextRequests":1,"numGenRequests":1,"numCtxTokens":9}}])");
  EXPECT_EQ(get(Dialect::kTrtllm, "/metrics"), "[]") << "each pass once";
  EXPECT_EQ(get(Dialect::kLlamaServer, "/health"), R"({"status":"ok"})");
  EXPECT_THAT(get(Dialect::kSglang, "/server_info"),
              AllOf(HasSubstr("\"tp_size\":1"), HasSubstr("\"enable_return_routed_experts\":false")));
  EXPECT_EQ(get(Dialect::kVllm, "/nothing"), "none");
}

TEST(InfoRoutes, TokenizeAndBack) {
  PassQueue passes;
  const auto post = [&](Dialect dialect, const char* path, const char* body) {
    InfoContext context;
    context.dialect = dialect;
    context.max_context = 50;
    const auto answer = AnswerInfo(context, "POST", path, body, {}, passes);
    return answer ? answer->body : "none";
  };
  EXPECT_EQ(post(Dialect::kVllm, "/tokenize", R"({"prompt":" w16 é23"})"),
            R"({"count":2,"max_model_len":50,"tokens":[16,23]})");
  EXPECT_EQ(post(Dialect::kVllm, "/detokenize", R"({"tokens":[16,23]})"), R"({"prompt":" w16 é23"})");
  EXPECT_EQ(post(Dialect::kLlamaServer, "/tokenize", R"({"content":" w16"})"), R"({"tokens":[16]})");
  EXPECT_EQ(post(Dialect::kTgi, "/tokenize", R"({"inputs":" w16"})"), R"([{"id":16}])");
  EXPECT_EQ(post(Dialect::kTrtllm, "/tokenize", "{}"), "none");
}

}  // namespace
}  // namespace moecap::mock
