// Byte-exact answers of every dialect, route and fault.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mock/answer_stream.h"
#include "mock/engine.h"

namespace moecap::mock {
namespace {

using testing::HasSubstr;
using testing::Not;
using After = AnswerBytes::After;

struct Given {
  Dialect dialect = Dialect::kVllm;
  std::string path = "/v1/completions";
  std::string body = R"({"prompt":[5,6,7],"max_tokens":2,"stream":true})";
  std::vector<int32_t> tokens = {16, 23};
  std::string finish = "length";
  std::string faults;
  AnswerOptions options = {1, 1, true, false};
  int64_t reasoning = 0;
  std::string routed;
};

struct Written {
  std::string head;
  std::string body;
  std::vector<AnswerBytes> pieces;
  AnswerBytes last;
};

ApiRequest Parse(const Given& given) {
  auto parsed = ParseApiRequest(given.dialect, RouteOf(given.dialect, given.path).value(), given.path, given.body, {100, 0});
  if (const auto* error = std::get_if<ApiError>(&parsed)) ADD_FAILURE() << error->message;
  return std::get<ApiRequest>(std::move(parsed));
}

Written Write(const Given& given) {
  ApiRequest api = Parse(given);
  AnswerFacts facts{"7", 5, "2026-01-01T00:00:00Z", "m", api.prompt, static_cast<int64_t>(api.prompt.size()), given.reasoning};
  FaultSet faults;
  const auto specs = ParseFaults(given.faults);
  EXPECT_TRUE(specs.ok()) << specs.error().message;
  for (const Fault& fault : specs.value()) faults.Add(fault);
  const std::string routed = given.routed;
  AnswerStream stream(
      given.dialect, std::move(api), std::move(facts), faults, given.options,
      routed.empty() ? std::function<std::string()>() : [routed] { return routed; });
  Written written;
  AnswerBytes all;
  const auto take = [&](AnswerBytes& bytes) {
    written.pieces.push_back(bytes);
    all.Append(std::move(bytes));
  };
  AnswerBytes bytes;
  stream.Begin(bytes);
  take(bytes);
  Progress progress{0, 0, 0.1, 0.2, 0};
  for (size_t i = 0; i < given.tokens.size() && !stream.ended(); ++i) {
    progress.completion_tokens = static_cast<int64_t>(i + 1);
    progress.decode_s = 0.25 * static_cast<double>(i);
    stream.Token(given.tokens[i], i + 1 == given.tokens.size() ? given.finish : "", progress, bytes);
    take(bytes);
  }
  const size_t end = all.bytes.find("\r\n\r\n");
  if (end != std::string::npos) {
    written.head = all.bytes.substr(0, end + 4);
    written.body = all.bytes.substr(end + 4);
  }
  written.last = std::move(all);
  return written;
}

std::string Body(const Given& given) { return Write(given).body; }

// {"id":...} of each event of a /v1/completions stream of vLLM.
std::string VllmChunk(const std::string& text, const std::string& finish, const std::string& more = "",
                      const std::string& usage = "null") {
  return R"(data: {"id":"cmpl-7","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":")" + text +
         R"(","logprobs":null,"finish_reason":)" + finish + R"(,"stop_reason":null)" + more + R"(}],"usage":)" + usage +
         "}\n\n";
}

TEST(Vllm, Completions) {
  EXPECT_EQ(Body({}), VllmChunk(" w16", "null") + VllmChunk(" é23", "\"length\"") + "data: [DONE]\n\n");
  EXPECT_EQ(Write({}).last.after, After::kClose) << "without chunks the end of the connection is the end of the answer";
}

TEST(Vllm, HeadersAndChunks) {
  Given given;
  given.options.chunked = true;
  const Written written = Write(given);
  EXPECT_EQ(written.head,
            "HTTP/1.1 200 OK\r\nserver: moecap-mock\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            "transfer-encoding: chunked\r\n\r\n");
  const std::string first = VllmChunk(" w16", "null");
  const std::string second = VllmChunk(" é23", "\"length\"");
  ASSERT_EQ(first.size(), 0xb5u);
  EXPECT_EQ(written.body, "b5\r\n" + first + "\r\n" + "ba\r\n" + second + "\r\n" + "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
  EXPECT_EQ(written.last.after, After::kDone);
  EXPECT_THAT(written.pieces, testing::SizeIs(3)) << "one piece a token";
}

TEST(Vllm, ContinuousUsageAndIds) {
  const std::string body = Body({.body = R"({"prompt":[5,6,7],"max_tokens":2,"stream":true,"return_token_ids":true,
      "stream_options":{"include_usage":true,"continuous_usage_stats":true}})"});
  const auto usage = [](int total, int completion) {
    return R"({"prompt_tokens":3,"total_tokens":)" + std::to_string(total) + R"(,"completion_tokens":)" +
           std::to_string(completion) + R"(,"prompt_tokens_details":{"cached_tokens":0}})";
  };
  EXPECT_EQ(body, VllmChunk(" w16", "null", R"(,"token_ids":[16],"prompt_token_ids":[5,6,7])", usage(4, 1)) +
                      VllmChunk(" é23", "\"length\"", R"(,"token_ids":[23])", usage(5, 2)) +
                      R"(data: {"id":"cmpl-7","object":"text_completion","created":5,"model":"m","choices":[],"usage":)" +
                      usage(5, 2) + "}\n\ndata: [DONE]\n\n");
}

TEST(Vllm, ChatWithReasoning) {
  const std::string head =
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":)";
  EXPECT_EQ(Body({.path = "/v1/chat/completions",
                  .body = R"({"messages":[{"role":"user","content":"a b"}],"stream":true})",
                  .tokens = {16, 23, kEosToken},
                  .finish = "stop",
                  .reasoning = 1}),
            head +
                R"({"role":"assistant","content":""},"logprobs":null,"finish_reason":null,"stop_reason":null}]})"
                "\n\n" +
                head +
                R"({"reasoning":" w16"},"logprobs":null,"finish_reason":null,"stop_reason":null}]})"
                "\n\n" +
                head +
                R"({"content":" é23"},"logprobs":null,"finish_reason":null,"stop_reason":null}]})"
                "\n\n" +
                head +
                R"({"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}]})"
                "\n\n" +
                "data: [DONE]\n\n");
}

TEST(Vllm, NotStreamedWithRoutedExperts) {
  const Written written = Write({.body = R"({"prompt":[5,6,7],"max_tokens":2})", .routed = "AAE="});
  EXPECT_EQ(
      written.body,
      R"({"id":"cmpl-7","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":" w16 é23",)"
      R"("logprobs":null,"finish_reason":"length","stop_reason":null,"routed_experts":"AAE="}],)"
      R"("usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":0}}})");
  EXPECT_EQ(written.head, "HTTP/1.1 200 OK\r\nserver: moecap-mock\r\ncontent-type: application/json\r\ncontent-length: " +
                              std::to_string(written.body.size()) + "\r\n\r\n");
  EXPECT_EQ(written.last.tokens, 2);
}

TEST(Sglang, CompletionsAndChat) {
  const std::string head =
      R"(data: {"id":"cmpl-7","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":")";
  EXPECT_EQ(Body({.dialect = Dialect::kSglang}),
            head +
                R"( w16","logprobs":null,"finish_reason":null,"matched_stop":null}],"usage":null})"
                "\n\n" +
                head +
                R"( é23","logprobs":null,"finish_reason":"length","matched_stop":null}],"usage":null})"
                "\n\n" +
                "data: [DONE]\n\n");
  const std::string chat =
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":)";
  EXPECT_EQ(Body({.dialect = Dialect::kSglang,
                  .path = "/v1/chat/completions",
                  .body = R"({"messages":[{"role":"user","content":"a"}],"max_tokens":1,"stream":true})",
                  .tokens = {16}}),
            chat +
                R"({"role":"assistant","content":""},"logprobs":null,"finish_reason":null,"matched_stop":null}]})"
                "\n\n" +
                chat +
                R"({"content":" w16"},"logprobs":null,"finish_reason":null,"matched_stop":null}]})"
                "\n\n" +
                chat +
                R"({},"logprobs":null,"finish_reason":"length","matched_stop":null}]})"
                "\n\n" +
                "data: [DONE]\n\n");
}

TEST(Sglang, NativeIsCumulative) {
  const auto event = [](const std::string& text, const std::string& ids, const std::string& finish, int n,
                        const std::string& end) {
    return R"(data: {"text":")" + text + R"(","output_ids":)" + ids + R"(,"meta_info":{"id":"7","finish_reason":)" + finish +
           R"(,"prompt_tokens":3,"weight_version":"default","completion_tokens":)" + std::to_string(n) +
           R"(,"cached_tokens":0)" + end + "}}\n\n";
  };
  const std::string body = R"({"input_ids":[5,6,7],"sampling_params":{"max_new_tokens":2},"stream":true})";
  const std::string finish = R"({"type":"length","length":2})";
  EXPECT_EQ(Body({.dialect = Dialect::kSglang, .path = "/generate", .body = body}),
            event(" w16", "[16]", "null", 1, "") + event(" w16 é23", "[16,23]", finish, 2, R"(,"e2e_latency":0.550000)") +
                "data: [DONE]\n\n");
  EXPECT_THAT(Body({.dialect = Dialect::kSglang, .path = "/generate", .body = body, .routed = "AA=="}),
              HasSubstr(R"("e2e_latency":0.550000,"routed_experts":"AA=="}})"));
}

TEST(Trtllm, HasIdsAndUsageByDefaultAndRefusesUnknownFields) {
  const std::string head = R"(data: {"id":"cmpl-7","object":"text_completion","created":5,"model":"m","choices":[)";
  EXPECT_EQ(
      Body({.dialect = Dialect::kTrtllm}),
      head +
          R"({"index":0,"text":" w16","logprobs":null,"finish_reason":null,"stop_reason":null,"token_ids":[16],"avg_decoded_tokens_per_iter":1.0}]})"
          "\n\n" +
          head +
          R"({"index":0,"text":" é23","logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":[23],"avg_decoded_tokens_per_iter":1.0}]})"
          "\n\n" +
          head +
          R"(],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":0}}})"
          "\n\n" +
          "data: [DONE]\n\n");
  const auto parsed = ParseApiRequest(Dialect::kTrtllm, Route::kCompletions, "/v1/completions",
                                      R"({"prompt":"a","return_token_ids":true})", {});
  ASSERT_TRUE(std::holds_alternative<ApiError>(parsed));
  EXPECT_EQ(std::get<ApiError>(parsed).status, 400);
  EXPECT_EQ(std::get<ApiError>(parsed).message, "return_token_ids: Extra inputs are not permitted");
}

constexpr const char* kTimings =
    R"("timings":{"cache_n":0,"prompt_n":3,"prompt_ms":200.000,"prompt_per_token_ms":66.666667,"prompt_per_second":15.000000,)"
    R"("predicted_n":2,"predicted_ms":250.000,"predicted_per_token_ms":250.000000,"predicted_per_second":4.000000})";

TEST(LlamaServer, CompletionAndChat) {
  EXPECT_EQ(
      Body({.dialect = Dialect::kLlamaServer,
            .path = "/completion",
            .body = R"({"prompt":[5,6,7],"n_predict":2,"stream":true,"return_tokens":true})"}),
      R"(data: {"index":0,"content":" w16","tokens":[16],"stop":false,"id_slot":-1,"tokens_predicted":1,"tokens_evaluated":3})"
      "\n\n"
      R"(data: {"index":0,"content":" é23","tokens":[23],"stop":false,"id_slot":-1,"tokens_predicted":2,"tokens_evaluated":3})"
      "\n\n"
      R"(data: {"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"model":"m","tokens_predicted":2,"tokens_evaluated":3,"tokens_cached":4,"truncated":false,"stop_type":"limit",)" +
          std::string(kTimings) + "}\n\n");
  const std::string head =
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"moecap-mock","choices":[{"index":0,"delta":)";
  const std::string chat = Body({.dialect = Dialect::kLlamaServer,
                                 .path = "/v1/chat/completions",
                                 .body = R"({"messages":[{"role":"user","content":"a"}],"max_tokens":2,"stream":true})"});
  EXPECT_THAT(chat, testing::StartsWith(head +
                                        R"({"role":"assistant","content":null},"logprobs":null,"finish_reason":null}]})"
                                        "\n\n" +
                                        head +
                                        R"({"content":" w16"},"logprobs":null,"finish_reason":null}]})"
                                        "\n\n"));
  EXPECT_THAT(chat, HasSubstr(head + R"({},"logprobs":null,"finish_reason":"length"}],"timings":{"cache_n":0)"));
  EXPECT_THAT(chat, testing::EndsWith("data: [DONE]\n\n"));
}

TEST(LlamaServer, LastEventOfACompletionHoldsAll) {
  const std::string body = Body({.dialect = Dialect::kLlamaServer,
                                 .body = R"({"prompt":[5,6,7],"max_tokens":2,"stream":true,"timings_per_token":true})"});
  EXPECT_THAT(
      body,
      testing::EndsWith(
          R"("choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":0}},)" +
          std::string(kTimings) + "}\n\ndata: [DONE]\n\n"));
  EXPECT_THAT(body, Not(HasSubstr(R"("choices":[])")));
}

TEST(LlamaServer, ChatHasNoEventForTheEndToken) {
  const std::string body = Body(
      {.dialect = Dialect::kLlamaServer,
       .path = "/v1/chat/completions",
       .body =
           R"({"messages":[{"role":"user","content":"a"}],"stream":true,"timings_per_token":true,"stream_options":{"include_usage":true}})",
       .tokens = {16, kEosToken},
       .finish = "stop"});
  EXPECT_THAT(body, HasSubstr(R"("delta":{"role":"assistant","content":null},"logprobs":null,"finish_reason":null}]})"));
  EXPECT_THAT(body, HasSubstr(R"({"content":" w16"},"logprobs":null,"finish_reason":null}],"timings":{)"));
  EXPECT_THAT(body, Not(HasSubstr(R"("content":"")")));
  EXPECT_THAT(body, HasSubstr(R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]})"));
  EXPECT_THAT(body, HasSubstr(R"("choices":[],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2,)"));
  EXPECT_THAT(body, testing::EndsWith(std::string(kTimings) + "}\n\ndata: [DONE]\n\n"));
}

TEST(LlamaServer, MixedPromptsAndProgress) {
  const Given given{.dialect = Dialect::kLlamaServer,
                    .path = "/completion",
                    .body = R"({"prompt":[5,"two words",9],"stream":true,"return_progress":true,"n_predict":-1})"};
  const ApiRequest api = Parse(given);
  EXPECT_EQ(api.prompt.size(), 4u);
  EXPECT_EQ(api.max_tokens, std::nullopt);
  EXPECT_THAT(Body(given), HasSubstr(R"("tokens":[0],"stop":false,"id_slot":-1,"tokens_predicted":0,"tokens_evaluated":4,)"));
  EXPECT_THAT(Body(given), HasSubstr(R"("prompt_progress":{"total":4,"cache":0,"processed":4,"time_ms":200}})"));
}

TEST(Tgi, NativeHasNoSpaceAndNoDone) {
  EXPECT_EQ(
      Body({.dialect = Dialect::kTgi,
            .path = "/generate_stream",
            .body = R"({"inputs":"a b c","parameters":{"max_new_tokens":2}})"}),
      R"(data:{"index":1,"token":{"id":16,"text":" w16","logprob":-0.5,"special":false},"generated_text":null,"details":null})"
      "\n\n"
      R"(data:{"index":2,"token":{"id":23,"text":" é23","logprob":-0.5,"special":false},"generated_text":" w16 é23","details":{"finish_reason":"length","generated_tokens":2,"seed":null,"input_length":3}})"
      "\n\n");
  EXPECT_EQ(
      Body({.dialect = Dialect::kTgi, .path = "/generate", .body = R"({"inputs":"a"})", .tokens = {16}, .finish = "stop"}),
      R"({"generated_text":" w16","details":{"finish_reason":"eos_token","generated_tokens":1,"seed":null,"prefill":[],)"
      R"("tokens":[{"id":16,"text":" w16","logprob":-0.5,"special":false}]}})");
}

TEST(Ollama, LinesWithCountsAtTheEnd) {
  EXPECT_EQ(
      Body({.dialect = Dialect::kOllama, .path = "/api/generate", .body = R"({"model":"m","prompt":"a b c"})"}),
      R"({"model":"m","created_at":"2026-01-01T00:00:00Z","response":" w16","done":false})"
      "\n"
      R"({"model":"m","created_at":"2026-01-01T00:00:00Z","response":" é23","done":false})"
      "\n"
      R"({"model":"m","created_at":"2026-01-01T00:00:00Z","response":"","done":true,"done_reason":"length","total_duration":550000000,"load_duration":1000000,"prompt_eval_count":3,"prompt_eval_duration":200000000,"eval_count":2,"eval_duration":250000000})"
      "\n");
  EXPECT_THAT(
      Body({.dialect = Dialect::kOllama,
            .path = "/api/chat",
            .body = R"({"model":"m","messages":[{"role":"user","content":"a"}]})",
            .reasoning = 1}),
      testing::StartsWith(
          R"({"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":" w16"},"done":false})"
          "\n"
          R"({"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":" é23"},"done":false})"
          "\n"));
  EXPECT_THAT(Write({.dialect = Dialect::kOllama, .path = "/api/generate", .body = R"({"prompt":"a"})"}).head,
              HasSubstr("content-type: application/x-ndjson\r\n"));
}

TEST(Ollama, ShimNamesTheRoleInEveryDelta) {
  EXPECT_EQ(
      Body({.dialect = Dialect::kOllama,
            .path = "/v1/chat/completions",
            .body = R"({"messages":[{"role":"user","content":"a"}],"stream":true})",
            .tokens = {16}}),
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"moecap-mock","choices":[{"index":0,"delta":{"role":"assistant","content":" w16"},"finish_reason":null}]})"
      "\n\n"
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":5,"model":"m","system_fingerprint":"moecap-mock","choices":[{"index":0,"delta":{},"finish_reason":"length"}]})"
      "\n\n"
      "data: [DONE]\n\n");
}

TEST(Answer, SeveralTokensAnEventAndSeveralEventsAWrite) {
  Given given{.tokens = {16, 16, 16, 16, 16}};
  given.options.tokens_per_chunk = 2;
  EXPECT_EQ(Body(given), VllmChunk(" w16 w16", "null") + VllmChunk(" w16 w16", "null") + VllmChunk(" w16", "\"length\"") +
                             "data: [DONE]\n\n");
  given.options = {1, 2, true, false};
  const Written written = Write(given);
  EXPECT_EQ(written.pieces[1].bytes, "");
  EXPECT_EQ(written.pieces[2].bytes, VllmChunk(" w16", "null") + VllmChunk(" w16", "null"));
  EXPECT_EQ(written.pieces[2].tokens, 2);
  EXPECT_EQ(written.last.tokens, 5);
}

// The faults of a stream, on vLLM's completions.
struct FaultCase {
  const char* faults;
  std::string body;
  After after;
};

TEST(Faults, ChangeExactlyWhatTheySay) {
  const std::string one = VllmChunk(" w16", "null");
  const std::string two = VllmChunk(" é23", "\"length\"");
  const std::string done = "data: [DONE]\n\n";
  const FaultCase cases[] = {
      {"reset=1", one, After::kReset},
      {"reset=0", "", After::kReset},
      {"truncate=1", one, After::kClose},
      {"no-done", one + two, After::kClose},
      {"no-finish", one + VllmChunk(" é23", "null") + done, After::kClose},
      {"abort=1", VllmChunk(" w16", "\"abort\"") + done, After::kClose},
      {"error-object=1",
       one +
           R"(data: {"error":{"message":"injected fault","type":"InternalServerError","param":null,"code":500}})"
           "\n\n" +
           done,
       After::kClose},
      {"error-object=0",
       R"(data: {"error":{"message":"injected fault","type":"InternalServerError","param":null,"code":500}})"
       "\n\n" +
           done,
       After::kClose},
      {"bad-json=1", one + "data: {\"choices\":[{\"index\":0,\n\n" + two + done, After::kClose},
      {"bad-chunk=1", one + "zz\r\ndata: \r\n", After::kClose},
      {"empty-deltas", VllmChunk("", "null") + one + VllmChunk("", "null") + two + done, After::kClose},
      {"no-tokens", VllmChunk("", "\"stop\"") + done, After::kClose},
      {"comments", ": ping\n" + one + ": ping\n" + two + ": ping\n" + done, After::kClose},
  };
  for (const FaultCase& c : cases) {
    const Written written = Write({.faults = c.faults});
    EXPECT_EQ(written.body, c.body) << c.faults;
    EXPECT_EQ(written.last.after, c.after) << c.faults;
  }
}

TEST(Faults, KeepAliveEndsWithCloseAfter) {
  Given given;
  given.options.chunked = true;
  given.faults = "close-after";
  const Written written = Write(given);
  EXPECT_EQ(written.last.after, After::kClose);
  EXPECT_THAT(written.head, Not(HasSubstr("connection: close")));
}

TEST(Faults, Pauses) {
  const Written split = Write({.faults = "split-utf8=0.5"});
  ASSERT_EQ(split.last.cuts.size(), 1u);
  EXPECT_EQ(split.last.cuts[0].pause_ns, 500'000'000);
  EXPECT_EQ(split.last.bytes.substr(split.last.cuts[0].offset - 1, 2), "\xc3\xa9") << "between the two bytes of the letter";
  const Written usage =
      Write({.body = R"({"prompt":[5],"stream":true,"stream_options":{"include_usage":true}})", .faults = "usage-delay=2"});
  ASSERT_EQ(usage.last.cuts.size(), 1u);
  EXPECT_THAT(usage.last.bytes.substr(usage.last.cuts[0].offset), HasSubstr("\"choices\":[],\"usage\""));
  EXPECT_EQ(Write({.faults = "drip=0.25"}).last.byte_gap_ns, 250'000'000);
}

TEST(Faults, Floods) {
  Given given{.faults = "long-line=1000000"};
  given.options.chunked = true;
  const Written line = Write(given);
  EXPECT_EQ(line.body, "f4246\r\ndata: ") << "1,000,006 bytes in one chunk";
  EXPECT_EQ(line.last.filler, "a");
  EXPECT_EQ(line.last.filler_bytes, 1000000);
  EXPECT_EQ(line.last.after, After::kClose);
  const Written headers = Write({.faults = "header-flood=10"});
  EXPECT_EQ(headers.last.bytes, "HTTP/1.1 200 OK\r\nserver: moecap-mock\r\n");
  EXPECT_EQ(headers.last.filler.size(), 100u);
  EXPECT_EQ(headers.last.filler_bytes, 1000);
}

TEST(Faults, RolesOfChat) {
  const auto chat = [](const char* faults) {
    return Write({.path = "/v1/chat/completions",
                  .body = R"({"messages":[{"role":"user","content":"a"}],"stream":true})",
                  .faults = faults});
  };
  EXPECT_THAT(chat("early-role").pieces[0].bytes, HasSubstr(R"("role":"assistant")"));
  EXPECT_THAT(chat("").pieces[0].bytes, Not(HasSubstr("role")));
  const std::string twice = chat("double-role").body;
  const size_t first = twice.find("\"role\"");
  EXPECT_NE(twice.find("\"role\"", first + 1), std::string::npos);
}

TEST(Faults, OfAnswersThatAreNotStreamed) {
  const auto whole = [](const char* faults) { return Write({.body = R"({"prompt":[5],"max_tokens":2})", .faults = faults}); };
  EXPECT_EQ(whole("reset=1").last.after, After::kReset);
  EXPECT_EQ(whole("reset=1").last.bytes, "");
  EXPECT_THAT(whole("error-object=1").head, testing::StartsWith("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_THAT(whole("truncate=1").head, HasSubstr("content-length: 123\r\n"));
  EXPECT_EQ(whole("truncate=1").body.size(), 23u);
  EXPECT_THAT(whole("bad-json=2").head, HasSubstr("content-length: 23\r\n"));
  EXPECT_THAT(whole("bad-chunk=2").body, testing::StartsWith("zz\r\n"));
}

TEST(Faults, SpecsAreParsedAndRefused) {
  const auto faults = ParseFaults("reset=5@0.25, no-done,stall-headers");
  ASSERT_TRUE(faults.ok());
  ASSERT_EQ(faults->size(), 3u);
  EXPECT_EQ((*faults)[0].value, 5);
  EXPECT_EQ((*faults)[0].probability, 0.25);
  EXPECT_EQ((*faults)[2].value, 3600);
  const auto message = [](const char* spec) {
    const auto parsed = ParseFaults(spec);
    return parsed.ok() ? "accepted" : parsed.error().message;
  };
  EXPECT_THAT(message("rest=1"), HasSubstr("did you mean \"reset\"?"));
  EXPECT_THAT(message("qqqqqqqq"), HasSubstr("known are refuse, status"));
  EXPECT_THAT(message("reset=x"), HasSubstr("must be a number"));
  EXPECT_THAT(message("status=200"), HasSubstr("from 400 to 599"));
  EXPECT_THAT(message("no-done=1"), HasSubstr("takes no value"));
  EXPECT_THAT(message("no-done@2"), HasSubstr("from 0 to 1"));
}

TEST(Faults, AreDrawnWithTheirProbability) {
  const auto faults = ParseFaults("reset=5@0.25,no-done");
  Rng rng(1);
  int resets = 0;
  for (int i = 0; i < 4000; ++i) {
    const FaultSet set = DrawFaults(*faults, rng);
    EXPECT_TRUE(set.Has(FaultKind::kNoDone));
    resets += set.Has(FaultKind::kReset);
  }
  EXPECT_NEAR(resets, 1000, 4 * 28);
}

}  // namespace
}  // namespace moecap::mock
