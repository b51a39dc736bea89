// Every interface's answers, and with the tests named here every case that a reader of token streams must get right.
// clang-format off
//
//    1  data: with one space and without     ServerSentEvents.SpaceAfterTheColonIsOptional, Tgi.OneTokenAnEvent
//    2  LF, CRLF, CR, split across reads     ServerSentEvents.EveryLineEndCounts
//    3  several data lines in an event       ServerSentEvents.SeveralDataLinesAreOneEvent,
//                                            Completions.AnEventOfSeveralLinesIsOne
//    4  comments; event:, id:, retry:        ServerSentEvents.CommentsAndOtherFieldsAreNoData,
//                                            Completions.CommentsCountNothing
//    5  events and reads are independent     ServerSentEvents.EventsAndReadsAreIndependent, FaultMatrix.NoFaultIsASuccess
//    6  chunks, extensions, trailers         ResponseParser.ReadsChunksWithExtensionsAndTrailers,
//                                            Completions.ChunksEndAnywhere
//    7  usage null, often; no choices        Completions.ContinuousUsageIsCountedNext,
//                                            Completions.WithoutAnyCountAChunkIsATokenAndSaysSo
//    8  empty, null, role, reasoning, tools  Chat.OnlyOutputCounts
//    9  no [DONE]; end in mid event          Completions.WithoutAnyCountAChunkIsATokenAndSaysSo,
//                                            Failures.AStreamThatIsNotWholeIsNoSuccess,
//                                            Failures.TheEndOfTheBytesInMidEventIsTruncation
//   10  error objects, error, abort, filter  Failures.AStreamThatIsNotWholeIsNoSuccess, FaultMatrix.FaultsOfTheAnswer
//   11  success without a token              Failures.AStreamThatIsNotWholeIsNoSuccess
//   12  keep-alive race                      HttpClient.RepeatsARequestThatAClosedConnectionSwallowed,
//                                            HttpClient.RepeatsARequestThatAResetConnectionRefused,
//                                            HttpClient.RepeatsNothingThatWasAnswered
//   13  interim, redirect, error statuses    ResponseParser.SkipsInterimResponses, Failures.StatusesAreNamed
//   14  content-encoding                     HttpClient.RefusesAnEncodingNobodyAskedFor, .SendsARequestAndReadsItsResponse
//   15  a body without length                ResponseParser.ReadsABodyUntilTheConnectionCloses,
//                                            Completions.ABodyWithoutLengthEndsWithTheConnection
//   16  several choices                      Chat.OtherChoicesAreNotOurs, Completions.OtherChoicesAreNotOurs
//   17  numbers as text, unknown keys, MBs   Completions.OddEventsAreRead, ServerSentEvents.LongLinesUpToTheLimit
//   18  cumulative text                      Sglang.CumulativeEventsAreSplit
//   19  several tokens a chunk               Completions.TokenIdsAreCountedFirst, .ContinuousUsageIsCountedNext
//   20  NDJSON                               Ndjson.ALineIsAnEvent, Ollama.LinesWithCountsAtTheEnd
//   21  HTTP/2 is not spoken unasked         ResponseParser.OnlyHttp1IsSpoken
// clang-format on
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/quirks.h"
#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using net::ScriptedServer;
using net::WholeResponse;
using record::FinishReason;
using record::RequestError;
using record::TokensSource;
using testing::ElementsAre;
using testing::HasSubstr;

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

// Case 3: an object over two data lines.
TEST(Completions, AnEventOfSeveralLinesIsOne) {
  ScriptedServer server(Answer(net::StreamHead() +
                               net::ChunkOf("data: {\"choices\":\ndata: [{\"index\":0,\"text\":\"a\",\n"
                                            "data:\"finish_reason\":\"stop\"}]}\n\n") +
                               net::ChunkOf("")));
  const auto record = Measure(Options(server, Api::kCompletions));
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.text, "a");
}

// Case 4: pings and names of events between the tokens.
TEST(Completions, CommentsCountNothing) {
  const std::string body = ": ping\n\nevent: token\nid: 1\nretry: 5\ndata: " + TextChoice("a") +
                           "\n\n:\n\ndata: " + TextChoice("b", kFinish) + "\n: inside\n\n: bye\n\n";
  ScriptedServer server(Answer(net::StreamHead() + net::ChunkOf(body) + net::ChunkOf("")));
  const auto record = Measure(Options(server, Api::kCompletions, ServerKind::kUnknown));
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.output_tokens, 2);
}

// Case 6: an event over two chunks with an extension, two events in one, a trailer.
TEST(Completions, ChunksEndAnywhere) {
  const std::string first = "data: " + TextChoice("a") + "\n\n", second = "data: " + TextChoice("b", kFinish) + "\n\n";
  const std::string begin = first.substr(0, 30), rest = first.substr(30) + second;
  const std::string answer = net::StreamHead() + fmt::format("{:x};x=\"y\"\r\n{}\r\n", begin.size(), begin) +
                             net::ChunkOf(rest) + "0\r\nX-Trailer: 1\r\n\r\n";
  for (const size_t piece : {size_t{0}, size_t{1}}) {
    ScriptedServer server(Answer(answer, piece));
    const auto record = Measure(Options(server, Api::kCompletions));
    EXPECT_EQ(record.error, "");
    EXPECT_EQ(record.text, "ab");
  }
}

// Case 15: the connection's end is the body's; what was sent is whole all the same.
TEST(Completions, ABodyWithoutLengthEndsWithTheConnection) {
  ScriptedServer server([](net::ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\ndata: " +
                    TextChoice("a", kFinish) + "\n\n");
  });
  EXPECT_EQ(Measure(Options(server, Api::kCompletions)).error, "");
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

TEST(Completions, OtherChoicesAreNotOurs) {
  const auto record =
      RunStream(Api::kCompletions, {R"({"choices":[{"index":1,"text":"no"}]})", R"({"choices":[{"index":0,"text":"yes"}]})",
                                    R"({"choices":[{"index":1,"text":"","finish_reason":"abort"}]})",
                                    R"({"choices":[{"index":0,"text":"","finish_reason":"stop"}]})"});
  EXPECT_EQ(record.error, "");
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

TEST(LlamaServer, AnAnswerThatSomethingElseEndedIsNone) {
  const auto aborted =
      RunStream(Api::kLlamaServer, {R"({"content":"a","stop":false})", R"({"content":"","stop":true,"stop_type":"none"})"},
                ServerKind::kLlamaServer);
  EXPECT_EQ(aborted.error_kind, RequestError::kAbortFinish);
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

// How many prompt tokens came from the prefix cache, in every server's words; unknown is not 0.
TEST(CachedTokens, AreReadFromEveryServer) {
  const auto cached = [](Api api, ServerKind kind, const char* event) {
    return RunStream(api, {event}, kind).cached_input_tokens;
  };
  for (const ServerKind kind : {ServerKind::kVllm, ServerKind::kSglang, ServerKind::kTensorRtLlm, ServerKind::kLlamaServer}) {
    EXPECT_EQ(
        cached(
            Api::kCompletions, kind,
            R"({"choices":[{"index":0,"text":"a","finish_reason":"stop"}],"usage":{"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":16}}})"),
        16);
    EXPECT_EQ(
        cached(
            Api::kChat, kind,
            R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":0}}})"),
        0);
    EXPECT_EQ(
        cached(
            Api::kChat, kind,
            R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"completion_tokens":1,"prompt_tokens_details":null}})"),
        std::nullopt);
  }
  EXPECT_EQ(cached(Api::kSglangGenerate, ServerKind::kSglang,
                   R"({"text":"a","meta_info":{"completion_tokens":1,"cached_tokens":5,"finish_reason":{"type":"stop"}}})"),
            5);
  EXPECT_EQ(
      cached(
          Api::kChat, ServerKind::kLlamaServer,
          R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"timings":{"cache_n":7,"predicted_n":1}})"),
      7);
  EXPECT_EQ(cached(Api::kLlamaServer, ServerKind::kLlamaServer,
                   R"({"content":"a","stop":true,"tokens_predicted":1,"timings":{"cache_n":9,"predicted_n":1}})"),
            9);
  EXPECT_EQ(
      cached(Api::kTgiGenerate, ServerKind::kTgi,
             R"({"token":{"id":1,"text":"a"},"generated_text":"a","details":{"finish_reason":"length","input_length":4}})"),
      std::nullopt);
  EXPECT_EQ(
      cached(Api::kOllamaGenerate, ServerKind::kOllama, R"({"response":"a","done":true,"prompt_eval_count":4,"eval_count":1})"),
      std::nullopt);
}

// A server that swaps its model names another one in its answers.
TEST(ModelOfAnswers, MustStayTheSame) {
  const auto event = [](const std::string& model) {
    return R"(data: {"id":"1","model": ")" + model +
           R"(","choices":[{"index":0,"text":"a \"model\":\"x\"","finish_reason":"stop"}],"usage":{"completion_tokens":1}})" +
           "\n\ndata: [DONE]\n\n";
  };
  const std::vector<std::string> models = {"tiny", "tiny", "large"};
  ScriptedServer server([&](net::ScriptedConnection& connection, int) {
    for (size_t i = 0; i < models.size() && !connection.ReadRequest().empty(); ++i)
      connection.Send(WholeResponse(200, event(models[i]), "Content-Type: text/event-stream\r\n"));
    connection.Hold();
  });
  const SteadyClock clock;
  const auto system = OpenAiSystem::Create(Options(server, Api::kCompletions, ServerKind::kVllm), clock).value();
  const std::vector<load::RequestSpec> requests(3, Request());
  const auto result = load::RunClosedLoop(*system, requests, {}, clock).value();
  ASSERT_EQ(result.requests.size(), 3u);
  EXPECT_THAT(result.requests[0].quirks, testing::IsEmpty());
  EXPECT_THAT(result.requests[1].quirks, testing::IsEmpty()) << "what an answer says is not what it is";
  EXPECT_THAT(result.requests[2].quirks, ElementsAre(std::string(load::kOtherModelQuirk) + ": \"large\", not \"tiny\""));
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

}  // namespace
}  // namespace moecap::openai
