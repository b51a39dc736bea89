// What servers do otherwise than their interface says, and answers that can be read all the same.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using net::ChunkOf;
using net::ScriptedConnection;
using net::ScriptedServer;
using net::StreamHead;
using net::WholeResponse;
using record::FinishReason;
using record::RequestError;
using record::TimingGap;
using record::TokensSource;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* kUsage = R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}})";

record::RequestRecord RunAnswer(Api api, const std::string& answer, bool stream = true) {
  ScriptedServer server(Answer(answer));
  load::RequestSpec request = Request();
  request.stream = stream;
  return Measure(Options(server, api, ServerKind::kUnknown), request);
}

record::RequestRecord RunBody(const std::string& body, std::string_view type = "text/event-stream",
                              Api api = Api::kCompletions) {
  return RunAnswer(api, StreamHead(type) + ChunkOf(body) + ChunkOf(""));
}

// An answer in one piece, as asked and not: only its end has a time.
TEST(Whole, HasAnEndAndNothingElse) {
  const std::string json =
      R"({"id":"cmpl-9","choices":[{"index":0,"text":"a b c","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":3}})";
  const auto asked = RunAnswer(Api::kCompletions, WholeResponse(200, json, "Content-Type: application/json\r\n"), false);
  EXPECT_EQ(asked.error, "");
  EXPECT_EQ(asked.timing_gap, TimingGap::kCameWhole);
  EXPECT_THAT(asked.quirks, IsEmpty());
  for (const char* type : {"Content-Type: application/json\r\n", "Content-Type: text/event-stream\r\n", ""}) {
    const auto ignored = RunAnswer(Api::kCompletions, WholeResponse(200, "\n" + json, type));
    EXPECT_EQ(ignored.error, "") << type;
    EXPECT_EQ(ignored.timing_gap, TimingGap::kStreamIgnored);
    EXPECT_THAT(ignored.quirks, ElementsAre(HasSubstr("came whole")));
    EXPECT_EQ(ignored.output_tokens, 3);
    EXPECT_EQ(ignored.response_id, "cmpl-9");
  }
}

// 20 visible tokens one a chunk, 80 of thinking that only the usage knows.
TEST(HiddenReasoning, CameBeforeTheFirstVisibleToken) {
  std::vector<std::string> events(20, R"({"choices":[{"index":0,"delta":{"content":"x"}}]})");
  events.push_back(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
  const auto usage = [](const char* details) {
    return fmt::format(R"({{"choices":[],"usage":{{"prompt_tokens":5,"completion_tokens":100{}}}}})", details);
  };
  auto told = events;
  told.push_back(usage(R"(,"completion_tokens_details":{"reasoning_tokens":80})"));
  const auto known = RunStream(Api::kChat, told, ServerKind::kUnknown);
  EXPECT_EQ(known.error, "");
  EXPECT_EQ(known.output_tokens, 100);
  EXPECT_EQ(known.chunk_tokens.front(), 81);
  EXPECT_NE(known.timing_gap, TimingGap::kUnevenChunks);
  auto untold = events;
  untold.push_back(usage(""));
  const auto unknown = RunStream(Api::kChat, untold, ServerKind::kUnknown);
  EXPECT_EQ(unknown.output_tokens, 100);
  EXPECT_EQ(unknown.timing_gap, TimingGap::kUnevenChunks);
}

TEST(HiddenReasoning, IsAddedToWhatIdsCount) {
  const auto record = RunStream(
      Api::kChat, {R"({"choices":[{"index":0,"delta":{"content":"x"},"token_ids":[7]}]})",
                   R"({"choices":[{"index":0,"delta":{"content":"y"},"token_ids":[8],"finish_reason":"stop"}]})",
                   R"({"choices":[],"usage":{"completion_tokens":10,"completion_tokens_details":{"reasoning_tokens":8}}})"});
  EXPECT_EQ(record.output_tokens, 10);
  EXPECT_THAT(record.chunk_tokens, ElementsAre(9, 1));
  EXPECT_EQ(record.tokens_source, TokensSource::kTokenIds);
}

// Nothing tells which chunk held how many; with a running count it is known.
TEST(Bundles, AreSpreadByWhoKnowsOnly) {
  std::vector<std::string> events = {TextChoice(" a b c d e f g h i j")};
  for (int i = 0; i < 9; ++i) events.push_back(TextChoice(" x"));
  events.push_back(TextChoice(" x", kFinish));
  events.push_back(R"({"choices":[],"usage":{"completion_tokens":20}})");
  const auto record = RunStream(Api::kCompletions, events, ServerKind::kUnknown);
  EXPECT_EQ(record.output_tokens, 20);
  EXPECT_EQ(record.timing_gap, TimingGap::kUnevenChunks);
  std::vector<std::string> counted;
  for (int i = 0; i <= 10; ++i) {
    counted.push_back(
        fmt::format(R"({{"choices":[{{"index":0,"text":"x","finish_reason":{}}}],"usage":{{"completion_tokens":{}}}}})",
                    i == 10 ? "\"stop\"" : "null", 10 + i));
  }
  const auto known = RunStream(Api::kCompletions, counted, ServerKind::kUnknown);
  EXPECT_EQ(known.output_tokens, 20);
  EXPECT_EQ(known.chunk_tokens.front(), 10);
  EXPECT_NE(known.timing_gap, TimingGap::kUnevenChunks);
}

// litgpt's usage is all 0.
TEST(Counts, OfNothingBesideTextAreNone) {
  const auto record = RunStream(
      Api::kCompletions, {R"({"choices":[{"index":0,"text":"a"}],"usage":{"completion_tokens":0}})",
                          R"({"choices":[{"index":0,"text":"b","finish_reason":"stop"}],"usage":{"completion_tokens":0}})"});
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.output_tokens, 2);
  EXPECT_EQ(record.tokens_source, TokensSource::kChunks);
  EXPECT_THAT(record.quirks, Contains("usage counts no output tokens"));
}

TEST(Labels, AStreamUnderAnotherLabelIsRead) {
  const std::string body = "data: " + TextChoice("a") + "\n\ndata: " + TextChoice("b", kFinish) + "\n\ndata: [DONE]\n\n";
  for (const char* type : {"application/json", "application/json; charset=utf-8", "text/plain", "application/x-ndjson"}) {
    for (const char* before : {"", "\n", ": hello\n\n"}) {
      const auto record = RunBody(before + body, type);
      const bool lines = std::string_view(type) == "application/x-ndjson";
      if (lines && *before != '\0') continue;
      EXPECT_EQ(record.error, "") << type << before;
      EXPECT_EQ(record.text, "ab");
      EXPECT_FALSE(record.came_whole());
    }
  }
  EXPECT_THAT(RunBody(body, "application/json").quirks, ElementsAre("server-sent events labelled as JSON"));
}

// The first byte of the body may be a comment; the first event with a choice is what vLLM's client takes for the first token.
TEST(Comments, AreNoEvents) {
  const std::string ping = ": ping\n\n";
  const auto none = RunBody(ping + ping);
  EXPECT_TRUE(none.first_byte_s);
  EXPECT_EQ(none.first_event_s, std::nullopt);
  const auto role = RunBody(ping + "data: {\"id\":\"x\"}\n\n");
  EXPECT_EQ(role.first_event_s, std::nullopt) << "an event without a choice";
  const auto record = RunBody(ping + "data: " + TextChoice("") + "\n\n" + ping);
  EXPECT_EQ(record.output_tokens, 0);
  ASSERT_TRUE(record.first_event_s) << "a choice without text";
  EXPECT_LE(*record.first_byte_s, *record.first_event_s);
}

TEST(Errors, TheServersOwnWordsArrive) {
  const std::string first = "data: " + TextChoice("a") + "\n\n";
  EXPECT_THAT(RunBody(first + "event: error\ndata: the GPU fell off\n\n").error, HasSubstr("the GPU fell off"));
  EXPECT_THAT(RunBody(first + "event: error\ndata: {\"message\":\"out of pages\",\"code\":7}\n\n").error,
              HasSubstr("out of pages"));
  EXPECT_EQ(RunBody("event: error\ndata: {\"error\":{\"message\":\"busy\"}}\n\n").error_kind, RequestError::kStreamErrorObject);
  for (const char* body :
       {R"({"detail":"no such adapter"})", R"({"error":"no such adapter"})", R"({"message":"no such adapter"})",
        R"({"object":"error","message":"no such adapter","code":404})", R"({"error":{"message":"no such adapter"}})",
        R"([{"error":{"message":"no such adapter"}}])", R"({"detail":[{"loc":["body"],"msg":"no such adapter"}]})",
        R"({"errors":["no such adapter"]})", R"({"status":"failed","error_msg":"no such adapter"})", "no such adapter"}) {
    for (const char* type : {"application/json", "text/event-stream", "text/plain"}) {
      for (const bool stream : {true, false}) {
        const auto record = RunAnswer(Api::kChat, WholeResponse(200, body, fmt::format("Content-Type: {}\r\n", type)), stream);
        EXPECT_FALSE(record.ok());
        EXPECT_THAT(record.error, HasSubstr("no such adapter")) << body << type << stream;
      }
    }
    EXPECT_THAT(RunBody(fmt::format("data: {}\n\n", body), "text/event-stream", Api::kChat).error, HasSubstr("no such adapter"))
        << body;
    EXPECT_THAT(RunAnswer(Api::kChat, WholeResponse(400, body)).error, HasSubstr("no such adapter"));
  }
  EXPECT_EQ(RunBody(first + "data: {\"error\":null}\n\ndata: " + TextChoice("b", kFinish) + "\n\n").error, "")
      << "an error of null is none";
}

TEST(Ends, WithoutBlankLineOrDoneAreRead) {
  const std::string first = "data: " + TextChoice("a") + "\n\n", last = "data: " + TextChoice("b", kFinish);
  for (const char* end : {"", "\n", "\r\n"}) {
    const auto record = RunBody(first + last + end);
    EXPECT_EQ(record.error, "") << "[" << end << "]";
    EXPECT_EQ(record.text, "ab");
    EXPECT_THAT(record.quirks, Contains("no [DONE]"));
  }
  EXPECT_THAT(RunBody(first + last).quirks, Contains("the last event has no end"));
  EXPECT_THAT(RunBody(first + last + "\n\ndata: [DONE]").quirks, Contains("the last event has no end"));
  EXPECT_THAT(RunBody(first + last + "\n\ndata: [DONE]\n\n").quirks, IsEmpty());
  const auto lines = RunBody("{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":true}", "application/x-ndjson",
                             Api::kOllamaGenerate);
  EXPECT_EQ(lines.error, "");
  EXPECT_EQ(lines.text, "ab");
}

TEST(Ends, OneLineEndBetweenEventsIsEnough) {
  const auto record = RunBody("data: " + TextChoice("a") + "\ndata: " + TextChoice("b") +
                              "\ndata: " + TextChoice("c", kFinish) + "\ndata: [DONE]\n");
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.text, "abc");
  EXPECT_EQ(record.output_tokens, 3);
  EXPECT_THAT(record.quirks, Contains("no empty line between events"));
}

TEST(Finish, StrangeReasonsEndAnAnswerAllTheSame) {
  for (const char* reason : {"STOP", "content_filter", "eos", "end_turn", "max_tokens", "Length", "no idea"}) {
    const auto record =
        RunStream(Api::kCompletions, {TextChoice("a", fmt::format(R"("finish_reason":"{}")", reason)), "[DONE]"});
    EXPECT_EQ(record.error, "") << reason;
    EXPECT_TRUE(record.ok());
    EXPECT_THAT(record.quirks, ElementsAre(fmt::format("finish reason \"{}\"", reason)));
    const bool limit = std::string_view(reason) == "max_tokens" || std::string_view(reason) == "Length";
    EXPECT_EQ(record.finish, limit ? FinishReason::kLength : FinishReason::kStop) << reason;
  }
  for (const char* reason : {"abort", "ERROR", "cancelled"}) {
    EXPECT_EQ(
        RunStream(Api::kCompletions, {TextChoice("a", fmt::format(R"("finish_reason":"{}")", reason)), "[DONE]"}).error_kind,
        RequestError::kAbortFinish)
        << reason;
  }
  const auto none = RunStream(Api::kCompletions, {TextChoice("a"), TextChoice("b"), kUsage, "[DONE]"});
  EXPECT_EQ(none.error, "");
  EXPECT_THAT(none.quirks, ElementsAre("no finish reason"));
  EXPECT_EQ(none.finish, FinishReason::kStop);
  EXPECT_EQ(RunStream(Api::kCompletions, {TextChoice("a"), kUsage}).error_kind, RequestError::kTruncated)
      << "without [DONE] nobody knows that it is whole";
  const auto whole =
      RunAnswer(Api::kCompletions, WholeResponse(200, R"({"choices":[{"index":0,"text":"a","finish_reason":null}]})"), false);
  EXPECT_EQ(whole.error, "");
  EXPECT_THAT(whole.quirks, ElementsAre("no finish reason"));
}

TEST(Output, IsMoreThanText) {
  const auto tokens = [](const std::vector<std::string>& deltas) {
    std::vector<std::string> events;
    for (const std::string& delta : deltas) events.push_back(fmt::format(R"({{"choices":[{{"index":0,"delta":{}}}]}})", delta));
    events.push_back(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
    events.push_back("[DONE]");
    return RunStream(Api::kChat, events, ServerKind::kUnknown);
  };
  const auto refusal = tokens({R"({"role":"assistant","content":null,"refusal":null})", R"({"refusal":"I "})",
                               R"({"refusal":"cannot"})", R"({"refusal":" do","content":""})"});
  EXPECT_EQ(refusal.error, "");
  EXPECT_EQ(refusal.output_tokens, 3);
  EXPECT_EQ(refusal.text, "I cannot do");
  EXPECT_EQ(tokens({R"({"function_call":{"name":"f"}})", R"({"function_call":{"arguments":"{"}})"}).output_tokens, 2);
  EXPECT_EQ(tokens({R"({"tool_calls":[{"index":0,"function":{"name":"f"}}]})"}).output_tokens, 1);
  const auto parts = tokens({R"({"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})",
                             R"({"content":[{"type":"text","text":"c"}]})", R"({"content":[]})"});
  EXPECT_EQ(parts.text, "abc");
  EXPECT_EQ(parts.output_tokens, 2);
  const auto thought = tokens({R"({"content":[{"type":"thinking","thinking":"hm"}]})", R"({"reasoning":"so"})",
                               R"({"reasoning_content":"well"})", R"({"content":"yes"})"});
  EXPECT_EQ(thought.reasoning_tokens, 3);
  EXPECT_EQ(thought.text, "yes");
  const auto whole = RunAnswer(
      Api::kChat, WholeResponse(200, R"({"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]})"),
      false);
  EXPECT_EQ(whole.error, "");
  EXPECT_EQ(whole.text, "no");
}

// platform.openai.com/docs/api-reference/responses-streaming.
std::string ResponseEvent(std::string_view type, std::string_view rest) {
  return fmt::format("event: {0}\ndata: {{\"type\":\"{0}\",{1}}}\n\n", type, rest);
}
constexpr const char* kResponseUsage =
    R"("usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":4,)"
    R"("output_tokens_details":{"reasoning_tokens":2},"total_tokens":13})";
std::string ResponseBegin() {
  return ResponseEvent("response.created", R"("response":{"id":"resp_1","status":"in_progress","error":null})");
}
std::string ResponseDeltas() {
  return ResponseEvent("response.output_item.added",
                       R"("output_index":0,"item":{"id":"i","type":"message","status":"in_progress","content":[]})") +
         ResponseEvent("response.reasoning_text.delta", R"("item_id":"i","delta":"hm ")") +
         ResponseEvent("response.reasoning_text.delta", R"("delta":"so")") +
         ResponseEvent("response.output_text.delta", R"("item_id":"i","delta":"Hi")") +
         ResponseEvent("response.output_text.delta", R"("delta":" you")") +
         ResponseEvent("response.output_text.done", R"("text":"Hi you")") +
         ResponseEvent("response.output_item.done",
                       R"("item":{"status":"completed","content":[{"type":"output_text","text":"Hi you"}]})");
}

TEST(Responses, EventsOfTheDocumentedStream) {
  const std::string body = ResponseBegin() + ResponseDeltas();
  const std::string completed = fmt::format(
      R"("response":{{"id":"resp_1","status":"completed","output":[{{"content":[{{"type":"output_text","text":"Hi you"}}]}}],{}}})",
      kResponseUsage);
  const auto done = RunBody(body + ResponseEvent("response.completed", completed), "text/event-stream", Api::kResponses);
  EXPECT_EQ(done.error, "");
  EXPECT_EQ(done.text, "Hi you");
  EXPECT_EQ(done.output_tokens, 4);
  EXPECT_EQ(done.reasoning_tokens, 2);
  EXPECT_EQ(done.cached_input_tokens, 4);
  EXPECT_EQ(done.input_tokens, 9);
  EXPECT_EQ(done.response_id, "resp_1");
  EXPECT_EQ(done.finish, FinishReason::kStop);
  EXPECT_NE(done.timing_gap, TimingGap::kUnevenChunks);
  EXPECT_THAT(done.quirks, IsEmpty()) << "there is no [DONE] in this interface";
  const std::string incomplete = fmt::format(
      R"("response":{{"status":"incomplete","incomplete_details":{{"reason":"max_output_tokens"}},{}}})", kResponseUsage);
  const auto cut = RunBody(body + ResponseEvent("response.incomplete", incomplete), "text/event-stream", Api::kResponses);
  EXPECT_EQ(cut.error, "");
  EXPECT_EQ(cut.finish, FinishReason::kLength);
  EXPECT_EQ(RunBody(body, "text/event-stream", Api::kResponses).error_kind, RequestError::kTruncated);
}

TEST(Responses, FailuresAndWholeAnswers) {
  const auto failed =
      ResponseBegin() +
      ResponseEvent("response.failed", R"("response":{"status":"failed","error":{"code":"x","message":"no memory"}})");
  EXPECT_THAT(RunBody(failed, "text/event-stream", Api::kResponses).error, HasSubstr("no memory"));
  const auto refused = ResponseBegin() + ResponseEvent("error", R"("code":"rate","message":"slower please")");
  EXPECT_THAT(RunBody(refused, "text/event-stream", Api::kResponses).error, HasSubstr("slower please"));
  const std::string json = fmt::format(
      R"({{"id":"resp_2","object":"response","status":"completed","error":null,"output":[{{"type":"reasoning","summary":)"
      R"([{{"type":"summary_text","text":"hm"}}]}},{{"type":"message","content":[{{"type":"output_text","text":"Hi"}}]}}],{}}})",
      kResponseUsage);
  const auto whole = RunAnswer(Api::kResponses, WholeResponse(200, json), false);
  EXPECT_EQ(whole.error, "");
  EXPECT_EQ(whole.text, "Hi");
  EXPECT_EQ(whole.output_tokens, 4);
}

// docs.anthropic.com, "Streaming Messages".
TEST(Messages, EventsOfTheDocumentedStream) {
  const auto event = [](std::string_view type, std::string_view rest) {
    return fmt::format("event: {0}\ndata: {{\"type\":\"{0}\"{1}}}\n\n", type, rest);
  };
  const std::string begin =
      event(
          "message_start",
          R"(,"message":{"id":"msg_1","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":10,"cache_creation_input_tokens":5,"output_tokens":1}})") +
      event("content_block_start", R"(,"index":0,"content_block":{"type":"thinking","thinking":""})") + event("ping", "") +
      event("content_block_delta", R"(,"index":0,"delta":{"type":"thinking_delta","thinking":"hm"})") +
      event("content_block_delta", R"(,"index":1,"delta":{"type":"text_delta","text":"Hello"})") +
      event("content_block_delta", R"(,"index":1,"delta":{"type":"text_delta","text":"!"})");
  const std::string end =
      event("content_block_stop", R"(,"index":1)") +
      event("message_delta", R"(,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3})") +
      event("message_stop", "");
  const auto done = RunBody(begin + end, "text/event-stream", Api::kMessages);
  EXPECT_EQ(done.error, "");
  EXPECT_EQ(done.text, "Hello!");
  EXPECT_EQ(done.output_tokens, 3);
  EXPECT_EQ(done.input_tokens, 40);
  EXPECT_EQ(done.cached_input_tokens, 10);
  EXPECT_EQ(done.reasoning_tokens, 1);
  EXPECT_EQ(done.response_id, "msg_1");
  EXPECT_THAT(done.quirks, IsEmpty());
  EXPECT_THAT(RunBody(begin + event("error", R"(,"error":{"type":"overloaded_error","message":"Overloaded"})"),
                      "text/event-stream", Api::kMessages)
                  .error,
              HasSubstr("Overloaded"));
  const auto tool = RunBody(event("content_block_delta", R"(,"delta":{"type":"input_json_delta","partial_json":"{\"a\""})") +
                                event("message_delta", R"(,"delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1})"),
                            "text/event-stream", Api::kMessages);
  EXPECT_EQ(tool.error, "");
  EXPECT_EQ(tool.output_tokens, 1);
  const auto whole = RunAnswer(
      Api::kMessages,
      WholeResponse(
          200,
          R"({"id":"msg_2","type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"max_tokens","usage":{"input_tokens":3,"output_tokens":2}})"),
      false);
  EXPECT_EQ(whole.error, "");
  EXPECT_EQ(whole.finish, FinishReason::kLength);
  EXPECT_EQ(whole.text, "Hi");
}

// What the server was asked, byte for byte.
std::string RequestOf(OpenAiOptions options, const load::RequestSpec& request = Request()) {
  std::string seen;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    seen = connection.ReadRequest();
    connection.Send(WholeResponse(400, "no"));
  });
  net::Url url = net::ParseUrl(server.Url()).value();
  url.path = options.http.urls.empty() ? "" : options.http.urls.front().path;
  options.http.urls = {url};
  Measure(options, request);
  return seen;
}

TEST(Requests, PathQueryAndKeyAreTheUsers) {
  OpenAiOptions options;
  options.profile.api = Api::kChat;
  options.profile.model = "m";
  options.profile.path = "/openai/deployments/d/chat/completions";
  options.profile.query = "api-version=2024-10-21";
  options.api_key = "k-1";
  options.api_key_header = "api-key";
  EXPECT_THAT(RequestOf(options),
              AllOf(StartsWith("POST /openai/deployments/d/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n"),
                    HasSubstr("\r\napi-key: k-1\r\n"), testing::Not(HasSubstr("Bearer"))));
  options.profile.path.clear();
  options.profile.query.clear();
  options.profile.version = "/v4";
  options.api_key_header.clear();
  EXPECT_THAT(RequestOf(options),
              AllOf(StartsWith("POST /v4/chat/completions HTTP/1.1\r\n"), HasSubstr("Authorization: Bearer k-1\r\n")));
  options.profile.api = Api::kMessages;
  options.profile.version = "/v1";
  EXPECT_THAT(RequestOf(options), AllOf(StartsWith("POST /v1/messages HTTP/1.1\r\n"), HasSubstr("x-api-key: k-1\r\n"),
                                        HasSubstr("anthropic-version: 2023-06-01\r\n")));
}

TEST(Requests, EachHasAnIdOfItsOwn) {
  OpenAiOptions options;
  options.profile.model = "m";
  options.request_id_prefix = "run/7";
  const std::string first = RequestOf(options), second = RequestOf(options);
  const auto id = [](const std::string& request) {
    const size_t begin = request.find("x-request-id: ") + 14;
    return request.substr(begin, request.find('\r', begin) - begin);
  };
  EXPECT_THAT(id(first), testing::MatchesRegex("run-7-[0-9a-f]+-0-p1"));
  EXPECT_NE(id(first), id(second));
  load::RequestSpec named = Request();
  named.request_id = "abc\r\nEvil: 1";
  EXPECT_THAT(id(RequestOf(options, named)), "abc--Evil--1");
  ScriptedServer server(
      Answer(Stream({R"({"id":"cmpl-7","choices":[{"index":0,"text":"a","finish_reason":"stop"}]})", "[DONE]"})));
  named.request_id = "abc";
  const auto record = Measure(Options(server, Api::kCompletions), named);
  EXPECT_EQ(record.request_id, "abc");
  EXPECT_EQ(record.response_id, "cmpl-7");
  ScriptedServer silent(Answer("HTTP/1.1 503 X\r\nX-Request-Id: srv-9\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(Measure(Options(silent, Api::kCompletions)).response_id, "srv-9");
}

TEST(Requests, RetryAfterMayBeADate) {
  const auto error = [](const char* value) {
    return RunAnswer(Api::kCompletions, WholeResponse(429, "busy", fmt::format("Retry-After: {}\r\n", value))).error;
  };
  EXPECT_THAT(error("7"), HasSubstr("retry after 7 s"));
  EXPECT_THAT(error("Wed, 21 Oct 2026 07:28:00 GMT"), testing::EndsWith("retry at Wed, 21 Oct 2026 07:28:00 GMT"));
}

// As transformers serve does, 8 ms after the request, where the model takes 30.
TEST(Quirks, AnEchoedPromptIsNoAnswer) {
  load::RequestSpec request = Request();
  request.prompt = "What is the capital of a country?";
  const auto delta = [](std::string_view text, const char* finish = "null") {
    return fmt::format(R"({{"choices":[{{"index":0,"delta":{{"content":"{}"}},"finish_reason":{}}}]}})", text, finish);
  };
  const auto measure = [&](std::string_view first) {
    net::ScriptedServer server(Answer(Stream(
        {delta(first), delta("It "), delta("is."),
         R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}})"})));
    return Measure(Options(server, Api::kChat, ServerKind::kTransformers), request);
  };
  const record::RequestRecord echoed = measure("user: What is the capital of a country? assistant:");
  EXPECT_EQ(echoed.text, "It is.");
  EXPECT_EQ(echoed.output_tokens, 2);
  EXPECT_EQ(echoed.token_s.size(), 2u);
  EXPECT_THAT(echoed.quirks, testing::Contains(testing::HasSubstr("begins with the whole prompt")));
  const record::RequestRecord other = measure("What is that? ");
  EXPECT_EQ(other.text, "What is that? It is.");
  EXPECT_THAT(other.quirks, testing::Not(testing::Contains(testing::HasSubstr("whole prompt"))));
}

}  // namespace
}  // namespace moecap::openai
