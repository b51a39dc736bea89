#include "system/openai/openai_system.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "load/closed_loop.h"
#include "net/testing/allocation_counter.h"
#include "net/testing/scripted_server.h"

namespace moecap::openai {
namespace {

using net::ChunkOf;
using net::ScriptedConnection;
using net::ScriptedServer;
using net::StreamHead;
using net::WholeResponse;
using record::FinishReason;
using record::RequestError;
using record::TokensSource;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kMs = 1'000'000;

OpenAiOptions Options(const ScriptedServer& server, Api api, ServerKind kind = ServerKind::kVllm) {
  OpenAiOptions options;
  options.http.urls = {net::ParseUrl(server.Url()).value()};
  options.profile = {api, kind, "m", ""};
  return options;
}

load::RequestSpec Request() {
  load::RequestSpec request;
  request.id = "p1";
  request.prompt = "hi";
  request.deadlines.total_ns = 20'000 * kMs;
  return request;
}

record::RequestRecord Measure(const OpenAiOptions& options, const load::RequestSpec& request = Request()) {
  const SteadyClock clock;
  auto system = OpenAiSystem::Create(options, clock);
  EXPECT_TRUE(system.ok()) << system.error().message;
  const auto result = load::RunClosedLoop(**system, std::span(&request, 1), {}, clock);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result.ok() ? result->requests.at(0) : record::RequestRecord();
}

ScriptedServer::Script Answer(const std::string& response, size_t piece = 0) {
  return [=](ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      if (piece == 0) {
        connection.Send(response);
      } else {
        connection.SendInPieces(response, piece, 20);
      }
    }
  };
}

// A streamed answer of these events.
std::string Stream(const std::vector<std::string>& events, std::string_view prefix = "data: ", std::string_view end = "\n\n",
                   std::string_view type = "text/event-stream") {
  std::string body;
  for (const std::string& event : events) body += fmt::format("{}{}{}", prefix, event, end);
  return StreamHead(type) + ChunkOf(body) + ChunkOf("");
}

// The record of one streamed answer, the same whether it comes at once or byte by byte.
record::RequestRecord RunStream(Api api, const std::vector<std::string>& events, ServerKind kind = ServerKind::kVllm) {
  const bool ndjson = Format(api) == net::StreamFormat::kNdjson;
  const std::string answer = ndjson ? Stream(events, "", "\n", "application/x-ndjson") : Stream(events);
  ScriptedServer at_once(Answer(answer)), in_pieces(Answer(answer, 13));
  const record::RequestRecord whole = Measure(Options(at_once, api, kind));
  const record::RequestRecord split = Measure(Options(in_pieces, api, kind));
  EXPECT_EQ(whole.text, split.text);
  EXPECT_EQ(whole.output_tokens, split.output_tokens);
  EXPECT_EQ(whole.chunk_tokens, split.chunk_tokens);
  EXPECT_EQ(whole.error_kind, split.error_kind);
  EXPECT_EQ(whole.token_s.size(), static_cast<size_t>(whole.output_tokens));
  return whole;
}

std::string TextChoice(std::string_view text, std::string_view rest = R"("finish_reason":null)") {
  return fmt::format(R"({{"id":"cmpl-1","choices":[{{"index":0,"text":"{}",{}}}],"usage":null}})", text, rest);
}
const char* const kFinish = R"("finish_reason":"stop")";

TEST(Completions, TokenIdsAreCountedFirst) {
  const auto record = RunStream(
      Api::kCompletions,
      {R"({"choices":[{"index":0,"text":" a","token_ids":[7],"prompt_token_ids":[1,2],"finish_reason":null}],"usage":{"prompt_tokens":2,"completion_tokens":9}})",
       R"({"choices":[{"index":0,"text":" b c","token_ids":[8,9],"finish_reason":"length"}]})",
       R"({"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":1}}})",
       "[DONE]"});
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.finish, FinishReason::kLength);
  EXPECT_EQ(record.text, " a b c");
  EXPECT_THAT(record.token_ids, ElementsAre(7, 8, 9));
  EXPECT_THAT(record.chunk_tokens, ElementsAre(1, 2));
  EXPECT_EQ(record.tokens_source, TokensSource::kTokenIds);
  EXPECT_EQ(record.input_tokens, 2);
  EXPECT_EQ(record.cached_input_tokens, 1);
  EXPECT_EQ(record.http_status, 200);
  EXPECT_TRUE(record.connect_s.has_value());
  EXPECT_LE(*record.sent_s, *record.headers_s);
  EXPECT_LE(*record.headers_s, record.token_s.front());
  EXPECT_LE(record.token_s.back(), *record.end_s);
}

// Cases 7 and 19: usage on each event; a chunk of k tokens counts k; an event without choices counts none.
TEST(Completions, ContinuousUsageIsCountedNext) {
  const auto record = RunStream(
      Api::kCompletions,
      {R"({"choices":[{"index":0,"text":" a"}],"usage":{"prompt_tokens":5,"completion_tokens":1}})",
       R"({"choices":[{"index":0,"text":" b c d"}],"usage":{"prompt_tokens":5,"completion_tokens":4}})",
       R"({"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":5}})",
       R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":5}})", "[DONE]"});
  EXPECT_THAT(record.chunk_tokens, ElementsAre(1, 3, 1));
  EXPECT_EQ(record.tokens_source, TokensSource::kContinuousUsage);
  EXPECT_EQ(record.output_tokens, 5);
}

TEST(Completions, FinalUsageIsSpread) {
  const auto record =
      RunStream(Api::kCompletions, {TextChoice(" a"), TextChoice(" b"), TextChoice("", kFinish),
                                    R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}})", "[DONE]"});
  EXPECT_THAT(record.chunk_tokens, ElementsAre(3, 3));
  EXPECT_EQ(record.tokens_source, TokensSource::kFinalUsage);
  EXPECT_EQ(record.input_tokens, 5);
}

// Case 7: neither usage nor choices anywhere. Case 9: no [DONE].
TEST(Completions, WithoutAnyCountAChunkIsATokenAndSaysSo) {
  const auto record =
      RunStream(Api::kCompletions, {R"({"id":"x"})", TextChoice(" a"), TextChoice(" b", kFinish)}, ServerKind::kUnknown);
  EXPECT_EQ(record.output_tokens, 2);
  EXPECT_EQ(record.tokens_source, TokensSource::kChunks);
  EXPECT_EQ(record.finish, FinishReason::kStop);
}

// Case 8: role only, empty, null, reasoning under either name, tool calls.
TEST(Chat, OnlyOutputCounts) {
  const auto record = RunStream(
      Api::kChat, {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})",
                   R"({"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"hm"}}]})",
                   R"({"choices":[{"index":0,"delta":{"reasoning":"so"}}]})", R"({"choices":[{"index":0,"delta":{}}]})",
                   R"({"choices":[{"index":0,"delta":{"content":"yes"}}]})",
                   R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]})",
                   R"({"choices":[{"index":0,"delta":{"tool_calls":[]},"finish_reason":"tool_calls"}]})", "[DONE]"});
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.output_tokens, 4);
  EXPECT_EQ(record.reasoning_tokens, 2);
  EXPECT_EQ(record.text, "yes");
  EXPECT_DOUBLE_EQ(*record.first_answer_s, record.token_s[2]);
  EXPECT_EQ(record.finish, FinishReason::kStop);
}

TEST(Chat, TheServersReasoningCountReplacesOurs) {
  const auto record = RunStream(
      Api::kChat,
      {R"({"choices":[{"index":0,"delta":{"reasoning":"hm"}}]})",
       R"({"choices":[{"index":0,"delta":{"content":"yes"},"finish_reason":"stop"}]})",
       R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":7}}})"});
  EXPECT_EQ(record.reasoning_tokens, 7);
  EXPECT_EQ(record.output_tokens, 9);
}

// Case 16: of several choices the first is ours.
TEST(Chat, OtherChoicesAreNotOurs) {
  const auto record = RunStream(
      Api::kChat,
      {R"({"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":"stop"},{"index":0,"delta":{"content":"yes"}}]})",
       R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"});
  EXPECT_EQ(record.text, "yes");
  EXPECT_EQ(record.output_tokens, 1);
}

// Case 17: numbers as text, unknown keys, long lines.
TEST(Completions, OddEventsAreRead) {
  const std::string routed(3 << 20, 'A');
  const auto record = RunStream(
      Api::kCompletions,
      {fmt::format(
           R"({{"choices":[{{"logprobs":{{"tokens":["x"]}},"index":0,"routed_experts":"{}","text":" \u20ac\"","new":[1,{{}}]}}],"usage":{{"completion_tokens":"1","prompt_tokens":"12"}}}})",
           "AAAA"),
       TextChoice("b", kFinish), R"({"choices":[],"usage":{"completion_tokens":2.0}})"});
  EXPECT_EQ(record.text, " \xe2\x82\xac\"b");
  EXPECT_EQ(record.input_tokens, 12);
  EXPECT_EQ(record.output_tokens, 2);
  ScriptedServer server(Answer(Stream(
      {fmt::format(R"({{"choices":[{{"index":0,"text":"x","routed_experts":"{}","finish_reason":"stop"}}]}})", routed)})));
  EXPECT_EQ(Measure(Options(server, Api::kCompletions)).output_tokens, 1);
}

// Cases 9, 10 and 11: what must never pass as success.
TEST(Failures, AStreamThatIsNotWholeIsNoSuccess) {
  const auto kind = [](const std::vector<std::string>& events) { return RunStream(Api::kCompletions, events).error_kind; };
  EXPECT_EQ(kind({TextChoice(" a")}), RequestError::kTruncated);
  EXPECT_EQ(kind({TextChoice(" a"), "[DONE]"}), RequestError::kTruncated);
  EXPECT_EQ(kind({}), RequestError::kTruncated);
  EXPECT_EQ(kind({TextChoice("", kFinish), "[DONE]"}), RequestError::kZeroTokens);
  EXPECT_EQ(kind({R"({"error":{"message":"out of memory","code":500}})", "[DONE]"}), RequestError::kStreamErrorObject);
  EXPECT_EQ(kind({TextChoice(" a"), R"({"error":"overloaded","error_type":"x"})"}), RequestError::kStreamErrorObject);
  EXPECT_EQ(kind({TextChoice(" a"), R"({"object":"error","message":"bad"})"}), RequestError::kStreamErrorObject);
  for (const char* reason : {"abort", "error", "content_filter"})
    EXPECT_EQ(kind({TextChoice(" a", fmt::format(R"("finish_reason":"{}")", reason))}), RequestError::kAbortFinish);
  EXPECT_EQ(kind({TextChoice(" a"), "{\"choices\":[{\"index\":0,\"te"}), RequestError::kParseError);
  EXPECT_EQ(kind({"not json"}), RequestError::kParseError);
  EXPECT_EQ(kind({R"({"choices":[]} trailing)"}), RequestError::kParseError);
  EXPECT_EQ(kind({R"({"choices":[{"text":"a"}],"usage":{"completion_tokens":1e18}})"}), RequestError::kParseError);
  EXPECT_EQ(kind({R"({"choices":[{"text":"a"}],"usage":{"completion_tokens":-1}})"}), RequestError::kParseError);
  const auto failed = RunStream(Api::kCompletions, {TextChoice(" a"), R"({"error":{"message":"out of memory"}})"});
  EXPECT_EQ(failed.finish, FinishReason::kError);
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(failed.output_tokens, 1);
  EXPECT_THAT(failed.error, testing::AllOf(HasSubstr("http://localhost"), HasSubstr("out of memory")));
}

TEST(Failures, TheEndOfTheBytesInMidEventIsTruncation) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " + TextChoice(" a") +
                    "\n\ndata: {\"choi");
  });
  EXPECT_EQ(Measure(Options(server, Api::kCompletions)).error_kind, RequestError::kTruncated);
  ScriptedServer reset([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("data: " + TextChoice(" a", kFinish) + "\n\n"));
    connection.SleepMs(20);
  });
  EXPECT_EQ(Measure(Options(reset, Api::kCompletions)).error_kind, RequestError::kResetMidstream);
}

// Case 13: every status is told apart, with its body's message.
TEST(Failures, StatusesAreNamed) {
  const auto run = [](int status, const std::string& body, const std::string& fields = "") {
    ScriptedServer server(Answer(WholeResponse(status, body, fields)));
    auto options = Options(server, Api::kCompletions);
    options.api_key = "sk-hidden";
    return Measure(options);
  };
  const auto unauthorized = run(401, R"({"error":{"message":"Incorrect key sk-hidden","type":"auth"}})");
  EXPECT_EQ(unauthorized.error_kind, RequestError::kHttp4xx);
  EXPECT_EQ(unauthorized.http_status, 401);
  EXPECT_THAT(unauthorized.error,
              testing::AllOf(HasSubstr("Incorrect key ***"), HasSubstr("api_key_env"), Not(HasSubstr("hidden"))));
  for (const int status : {400, 404, 408, 413, 422, 499}) EXPECT_EQ(run(status, "no").error_kind, RequestError::kHttp4xx);
  for (const int status : {500, 502, 503, 504}) EXPECT_EQ(run(status, "<html>\n").error_kind, RequestError::kHttp5xx);
  const auto busy = run(429, R"({"detail":"slow down"})", "Retry-After: 7\r\n");
  EXPECT_EQ(busy.error_kind, RequestError::kHttp429);
  EXPECT_THAT(busy.error, testing::AllOf(HasSubstr("slow down"), HasSubstr("7 s")));
  const auto moved = run(307, "", "Location: http://elsewhere/\r\n");
  EXPECT_EQ(moved.error_kind, RequestError::kHttpRedirect);
  EXPECT_THAT(moved.error, HasSubstr("http://elsewhere/"));
  EXPECT_THAT(run(400, std::string(1 << 20, 'x')).error.size(), testing::Lt(1000u));
}

TEST(Failures, DeadlinesBoundASilentServer) {
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  ScriptedServer pinging([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead());
    for (int i = 0; i < 300; ++i) {
      connection.Send(ChunkOf(": ping\n\n"));
      connection.SleepMs(5);
    }
  });
  ScriptedServer stalling([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("data: " + TextChoice(" a") + "\n\n"));
    connection.Hold();
  });
  const auto kind = [](const ScriptedServer& server, const load::Deadlines& deadlines) {
    load::RequestSpec request = Request();
    request.deadlines = deadlines;
    return Measure(Options(server, Api::kCompletions), request).error_kind;
  };
  EXPECT_EQ(kind(silent, {.headers_ns = 50 * kMs}), RequestError::kHeaderTimeout);
  EXPECT_EQ(kind(silent, {.total_ns = 50 * kMs}), RequestError::kTotalTimeout);
  EXPECT_EQ(kind(pinging, {.first_token_ns = 80 * kMs}), RequestError::kFirstTokenTimeout);
  EXPECT_EQ(kind(stalling, {.first_token_ns = 5000 * kMs, .idle_ns = 50 * kMs}), RequestError::kIdleTimeout);
}

TEST(Failures, ClosedPortsAndEndlessEvents) {
  OpenAiOptions closed;
  closed.http.urls = {net::ParseUrl(fmt::format("http://127.0.0.1:{}", net::ClosedPort())).value()};
  closed.profile = {Api::kCompletions, ServerKind::kVllm, "m", ""};
  EXPECT_EQ(Measure(closed).error_kind, RequestError::kConnectRefused);

  ScriptedServer endless([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + "10000000\r\ndata: ");
    const std::string block(1 << 16, 'x');
    for (int i = 0; i < 4096; ++i) connection.Send(block);
  });
  auto options = Options(endless, Api::kCompletions);
  options.max_event_bytes = 1 << 20;
  const auto record = Measure(options);
  EXPECT_EQ(record.error_kind, RequestError::kParseError);
  EXPECT_THAT(record.error, HasSubstr("1048576 bytes"));
}

// Case 18: cumulative text and ids, and the server that was told to send only what is new.
TEST(Sglang, CumulativeEventsAreSplit) {
  const auto record = RunStream(
      Api::kSglangGenerate,
      {R"({"text":" a","output_ids":[7],"meta_info":{"finish_reason":null,"prompt_tokens":3,"completion_tokens":1,"cached_tokens":2}})",
       R"({"text":" a b c","output_ids":[7,8,9],"meta_info":{"finish_reason":null,"prompt_tokens":3,"completion_tokens":3}})",
       R"({"text":" a b c","output_ids":[7,8,9],"meta_info":{"finish_reason":{"type":"length","length":3},"prompt_tokens":3,"completion_tokens":3}})",
       "[DONE]"},
      ServerKind::kSglang);
  EXPECT_EQ(record.text, " a b c");
  EXPECT_THAT(record.token_ids, ElementsAre(7, 8, 9));
  EXPECT_THAT(record.chunk_tokens, ElementsAre(1, 2));
  EXPECT_EQ(record.cached_input_tokens, 2);
  EXPECT_EQ(record.finish, FinishReason::kLength);
}

TEST(Sglang, IncrementalEventsAndNativeCounters) {
  const auto incremental =
      RunStream(Api::kSglangGenerate,
                {R"({"text":" a","output_ids":[7],"meta_info":{"completion_tokens":1,"prompt_tokens":3}})",
                 R"({"text":" b","output_ids":[8],"meta_info":{"completion_tokens":2,"finish_reason":{"type":"stop"}}})"},
                ServerKind::kSglang);
  EXPECT_EQ(incremental.text, " a b");
  EXPECT_THAT(incremental.token_ids, ElementsAre(7, 8));
  const auto native = RunStream(Api::kSglangGenerate,
                                {R"({"text":" a","meta_info":{"completion_tokens":1}})",
                                 R"({"text":" a b c","meta_info":{"completion_tokens":4,"finish_reason":{"type":"stop"}}})"},
                                ServerKind::kSglang);
  EXPECT_EQ(native.text, " a b c");
  EXPECT_THAT(native.chunk_tokens, ElementsAre(1, 3));
  EXPECT_EQ(native.tokens_source, TokensSource::kNativeCounter);
  const auto aborted = RunStream(
      Api::kSglangGenerate,
      {R"({"text":"","output_ids":[],"meta_info":{"completion_tokens":0,"finish_reason":{"type":"abort","message":"too long","status_code":400}}})"},
      ServerKind::kSglang);
  EXPECT_EQ(aborted.error_kind, RequestError::kAbortFinish);
  EXPECT_THAT(aborted.error, HasSubstr("too long"));
}

// Case 1 as TGI does it: no space behind the colon.
TEST(Tgi, OneTokenAnEvent) {
  ScriptedServer server(Answer(Stream(
      {R"({"index":1,"token":{"id":5,"text":" a","logprob":-1,"special":false},"generated_text":null,"details":null})",
       R"({"index":2,"token":{"id":2,"text":"</s>","special":true},"generated_text":" a","details":{"finish_reason":"eos_token","generated_tokens":2,"input_length":4}})"},
      "data:")));
  const auto record = Measure(Options(server, Api::kTgiGenerate, ServerKind::kTgi));
  EXPECT_EQ(record.error, "");
  EXPECT_THAT(record.token_ids, ElementsAre(5, 2));
  EXPECT_EQ(record.text, " a");
  EXPECT_EQ(record.input_tokens, 4);
  EXPECT_EQ(record.tokens_source, TokensSource::kTokenIds);
  EXPECT_EQ(RunStream(Api::kTgiGenerate, {R"({"error":"Model is overloaded","error_type":"overloaded"})"}, ServerKind::kTgi)
                .error_kind,
            RequestError::kStreamErrorObject);
}

// Case 20 and Ollama's end: counts and durations, in ns.
TEST(Ollama, LinesWithCountsAtTheEnd) {
  const auto record = RunStream(
      Api::kOllamaGenerate,
      {R"({"model":"m","response":"a","done":false})", R"({"model":"m","response":"b","done":false})",
       R"({"model":"m","response":"","done":true,"done_reason":"stop","prompt_eval_count":4,"prompt_eval_duration":2000000,"eval_count":3,"eval_duration":5000000})"},
      ServerKind::kOllama);
  EXPECT_EQ(record.text, "ab");
  EXPECT_EQ(record.output_tokens, 3) << "the third is the end token";
  EXPECT_EQ(record.tokens_source, TokensSource::kFinalUsage);
  EXPECT_DOUBLE_EQ(*record.server_prefill_s, 0.002);
  EXPECT_DOUBLE_EQ(*record.server_decode_s, 0.005);
  const auto chat =
      RunStream(Api::kOllamaChat,
                {R"({"message":{"role":"assistant","content":"","thinking":"hm"},"done":false})",
                 R"({"message":{"role":"assistant","content":"yes"},"done":false})",
                 R"({"message":{"role":"assistant","content":""},"done":true,"done_reason":"length","eval_count":2})"},
                ServerKind::kOllama);
  EXPECT_EQ(chat.reasoning_tokens, 1);
  EXPECT_EQ(chat.text, "yes");
  EXPECT_EQ(chat.finish, FinishReason::kLength);
  EXPECT_EQ(
      RunStream(Api::kOllamaGenerate, {R"({"response":"a","done":false})", R"({"error":"model crashed"})"}, ServerKind::kOllama)
          .error_kind,
      RequestError::kStreamErrorObject);
  EXPECT_EQ(RunStream(Api::kOllamaGenerate, {R"({"response":"a","done":false})"}, ServerKind::kOllama).error_kind,
            RequestError::kTruncated);
}

TEST(LlamaServer, IdsAndTimings) {
  const auto record = RunStream(
      Api::kLlamaServer,
      {R"({"index":0,"content":" a","tokens":[5],"stop":false,"tokens_predicted":1})",
       R"({"index":0,"content":" b","tokens":[6],"stop":false})",
       R"({"index":0,"content":"","tokens":[],"stop":true,"stop_type":"eos","tokens_predicted":3,"tokens_evaluated":4,"timings":{"cache_n":0,"prompt_n":4,"prompt_ms":3.5,"predicted_n":3,"predicted_ms":9.0}})"},
      ServerKind::kLlamaServer);
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.output_tokens, 3);
  EXPECT_THAT(record.token_ids, ElementsAre(5, 6));
  EXPECT_EQ(record.tokens_source, TokensSource::kNativeCounter);
  EXPECT_DOUBLE_EQ(*record.server_prefill_s, 0.0035);
  EXPECT_EQ(record.cached_input_tokens, 0);
  const auto openai = RunStream(Api::kChat,
                                {R"({"choices":[{"index":0,"delta":{"content":"a"}}],"timings":{"predicted_n":1}})",
                                 R"({"choices":[{"index":0,"delta":{"content":"bc"}}],"timings":{"predicted_n":3}})",
                                 R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"timings":{"predicted_n":3}})"},
                                ServerKind::kLlamaServer);
  EXPECT_THAT(openai.chunk_tokens, ElementsAre(1, 2));
  EXPECT_EQ(openai.tokens_source, TokensSource::kNativeCounter);
}

// Of the chat's end token no event tells; it is in the count at the end, which comes in the same write as the finish.
TEST(LlamaServer, EndTokenOfAChatIsCounted) {
  const auto record = RunStream(
      Api::kChat,
      {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]})",
       R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"timings":{"predicted_n":1}})",
       R"({"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}],"timings":{"predicted_n":2}})",
       R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})",
       R"({"choices":[],"usage":{"completion_tokens":3,"prompt_tokens":9},"timings":{"predicted_n":3,"prompt_ms":1.5}})",
       "[DONE]"},
      ServerKind::kLlamaServer);
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.output_tokens, 3);
  EXPECT_EQ(record.tokens_source, TokensSource::kNativeCounter);
  EXPECT_THAT(record.token_s, testing::SizeIs(3));
}

// A token whose text is withheld until a later event: that event's text comes without a count, the count behind it.
TEST(LlamaServer, TextWithoutACountBetweenCounts) {
  const auto record =
      RunStream(Api::kChat,
                {R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"timings":{"predicted_n":1}})",
                 R"({"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}]})",
                 R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})",
                 R"({"choices":[],"usage":{"completion_tokens":4},"timings":{"predicted_n":4}})", "[DONE]"},
                ServerKind::kLlamaServer);
  EXPECT_EQ(record.text, "ab");
  EXPECT_EQ(record.output_tokens, 4);
  EXPECT_THAT(record.chunk_tokens, ElementsAre(1, 3));
  EXPECT_EQ(record.tokens_source, TokensSource::kNativeCounter);
}

// A token that leaves a character unfinished gets no event; the counter of the next one includes it. The events of the prompt's
// progress hold a 0 among their tokens.
TEST(LlamaServer, TokensWithoutAnEvent) {
  const auto record = RunStream(
      Api::kLlamaServer,
      {R"({"index":0,"content":"","tokens":[0],"stop":false,"tokens_predicted":0,"prompt_progress":{"total":4,"cache":0,"processed":0,"time_ms":0}})",
       R"({"index":0,"content":"","tokens":[0],"stop":false,"tokens_predicted":0,"prompt_progress":{"total":4,"cache":0,"processed":4,"time_ms":1}})",
       R"({"index":0,"content":" a","tokens":[5],"stop":false,"tokens_predicted":1})",
       R"({"index":0,"content":"\u00e9","tokens":[7],"stop":false,"tokens_predicted":3})",
       R"({"index":0,"content":"","tokens":[],"stop":true,"stop_type":"limit","tokens_predicted":4,"tokens_evaluated":4})"},
      ServerKind::kLlamaServer);
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.output_tokens, 4);
  EXPECT_THAT(record.chunk_tokens, ElementsAre(1, 2, 1));
  EXPECT_THAT(record.token_ids, ElementsAre(5));
  EXPECT_EQ(record.tokens_source, TokensSource::kNativeCounter);
}

TEST(WholeAnswers, ComeAsOneChunk) {
  const auto run = [](Api api, ServerKind kind, const std::string& body) {
    ScriptedServer server(Answer(WholeResponse(200, body, "Content-Type: application/json\r\n")));
    load::RequestSpec request = Request();
    request.stream = false;
    return Measure(Options(server, api, kind), request);
  };
  const auto chat = run(
      Api::kChat, ServerKind::kVllm,
      R"({"choices":[{"index":0,"message":{"role":"assistant","content":"yes","reasoning_content":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5}})");
  EXPECT_EQ(chat.error, "");
  EXPECT_EQ(chat.text, "yes");
  EXPECT_THAT(chat.chunk_tokens, ElementsAre(5));
  EXPECT_EQ(chat.tokens_source, TokensSource::kFinalUsage);
  EXPECT_EQ(run(Api::kSglangGenerate, ServerKind::kSglang,
                R"({"text":"ab","output_ids":[1,2],"meta_info":{"completion_tokens":2,"finish_reason":{"type":"stop"}}})")
                .token_ids.size(),
            2u);
  EXPECT_EQ(
      run(Api::kTgiGenerate, ServerKind::kTgi,
          R"({"generated_text":"ab","details":{"finish_reason":"length","generated_tokens":2,"tokens":[{"id":1,"text":"a"},{"id":2,"text":"b"}]}})")
          .text,
      "ab");
  EXPECT_EQ(
      run(Api::kOllamaGenerate, ServerKind::kOllama, R"({"response":"ab","done":true,"done_reason":"stop","eval_count":2})")
          .output_tokens,
      2);
  EXPECT_EQ(run(Api::kLlamaServer, ServerKind::kLlamaServer,
                R"({"content":"ab","tokens":[1,2],"stop":true,"stop_type":"limit","tokens_predicted":2})")
                .output_tokens,
            2);
  EXPECT_EQ(run(Api::kChat, ServerKind::kVllm, R"({"choices":[)").error_kind, RequestError::kParseError);
  EXPECT_EQ(run(Api::kChat, ServerKind::kVllm, R"({"error":{"message":"x"}})").error_kind, RequestError::kStreamErrorObject);
}

TEST(OpenAiSystem, RefusesWhatTheServerCannotDo) {
  const SteadyClock clock;
  OpenAiOptions options;
  options.http.urls = {net::ParseUrl("http://127.0.0.1:1").value()};
  options.profile = {Api::kChat, ServerKind::kUnknown, "", ""};
  EXPECT_THAT(OpenAiSystem::Create(options, clock).error().message, HasSubstr("model"));
  options.profile.model = "m";
  const auto system = OpenAiSystem::Create(options, clock).value();
  EXPECT_TRUE(system->Validate(Request()).ok());
  load::RequestSpec request = Request();
  request.prompt_token_ids = {1};
  EXPECT_THAT(system->Validate(request).error().message, HasSubstr("token ids"));
  request = Request();
  request.ignore_end_token = true;
  EXPECT_THAT(system->Validate(request).error().message, HasSubstr("end token"));
  request = Request();
  request.prompt.clear();
  EXPECT_THAT(system->Validate(request).error().message, HasSubstr("empty"));
}

TEST(OpenAiSystem, SendsTheKeyAndManyRequestsAtOnce) {
  std::atomic<int> keyed = 0;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      if (request.find("Authorization: Bearer sk-1\r\n") != std::string::npos) ++keyed;
      connection.Send(Stream({TextChoice(" a"), TextChoice(" b", kFinish), "[DONE]"}));
    }
  });
  auto options = Options(server, Api::kCompletions);
  options.api_key = "sk-1";
  const SteadyClock clock;
  const auto system = OpenAiSystem::Create(options, clock).value();
  ASSERT_TRUE(system->WarmUp(8, 5000 * kMs).ok());
  const std::vector<load::RequestSpec> requests(100, Request());
  load::ClosedLoopOptions loop;
  loop.clients = 8;
  const auto result = load::RunClosedLoop(*system, requests, loop, clock);
  ASSERT_TRUE(result.ok());
  for (const auto& record : result->requests) EXPECT_EQ(record.output_tokens, 2) << record.error;
  EXPECT_EQ(keyed, 100);
  EXPECT_EQ(server.connections(), 8);
  EXPECT_EQ(system->counters().connections_opened, 8);
}

// Observes without keeping anything.
class Counting final : public load::Observer {
 public:
  void OnChunk(uint64_t, const load::Chunk& chunk) override { tokens += chunk.tokens; }
  void OnFinish(uint64_t, load::Completion) override { ++finished; }
  void OnPass(record::PassRecord, int64_t) override {}
  int64_t tokens = 0;
  int finished = 0;
};

TEST(OpenAiSystem, CancelForgetsARequest) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("data: " + TextChoice(" a") + "\n\n"));
    connection.Hold();
  });
  const SteadyClock clock;
  const auto system = OpenAiSystem::Create(Options(server, Api::kCompletions), clock).value();
  Counting counting;
  ASSERT_TRUE(system->Submit(Request(), 1).ok());
  ASSERT_TRUE(system->Submit(Request(), 2).ok());
  while (counting.tokens < 2) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  system->Cancel(1);
  system->Cancel(77);
  system->CancelAll();
  ASSERT_TRUE(system->Advance(counting, clock.NowNs() + 20 * kMs).ok());
  EXPECT_EQ(counting.finished, 0);
}

TEST(OpenAiSystem, AllocatesNothingPerEvent) {
  constexpr int kEvents = 3000;
  std::promise<void> counted;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead());
    for (int i = 0; i < kEvents; ++i) {
      connection.Send(ChunkOf(
          fmt::format(
              R"(data: {{"id":"cmpl-1","choices":[{{"index":0,"text":" tok","token_ids":[{}]}}],"usage":{{"completion_tokens":{}}}}})",
              i, i + 1) +
          "\n\n"));
    }
    counted.get_future().wait();
    connection.Send(ChunkOf("data: " + TextChoice("", kFinish) + "\n\n") + ChunkOf(""));
    connection.Hold();
  });
  const SteadyClock clock;
  auto options = Options(server, Api::kCompletions);
  options.keep_text = false;
  const auto system = OpenAiSystem::Create(options, clock).value();
  Counting counting;
  ASSERT_TRUE(system->Submit(Request(), 1).ok());
  while (counting.tokens < 200) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  const int64_t before = net::AllocationsOfThisThread();
  while (counting.tokens < kEvents) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  EXPECT_EQ(net::AllocationsOfThisThread() - before, 0);
  counted.set_value();
  while (counting.finished == 0) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  EXPECT_EQ(counting.tokens, kEvents);
}

}  // namespace
}  // namespace moecap::openai
