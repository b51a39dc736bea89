// What must never pass as success, and how it is named.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "record/jsonl.h"
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
using testing::HasSubstr;
using testing::Not;

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
  for (const char* reason : {"abort", "error"})
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
    while (!connection.failed()) {
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
  EXPECT_EQ(kind(stalling, {.first_token_ns = net::kPatienceNs, .idle_ns = 50 * kMs}), RequestError::kIdleTimeout);
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

class KindsOfErrors : public testing::Test {
 protected:
  void Run(const OpenAiOptions& options, const load::Deadlines& deadlines = {.total_ns = net::kPatienceNs},
           size_t prompt_bytes = 2) {
    load::RequestSpec request = Request();
    request.deadlines = deadlines;
    request.prompt.assign(prompt_bytes, 'x');
    const auto record = Measure(options, request);
    EXPECT_NE(record.error, "");
    reached_.insert(record.error_kind);
  }
  // To a server that answers with `bytes`, then holds the connection or closes it.
  void Reply(const std::string& bytes, const load::Deadlines& deadlines = {.total_ns = net::kPatienceNs}, bool hold = true) {
    ScriptedServer server([&](ScriptedConnection& connection, int) {
      connection.ReadRequest();
      connection.Send(bytes);
      if (hold) connection.Hold();
    });
    Run(Options(server, Api::kCompletions), deadlines);
  }
  void ReplyEvent(const std::string& event) { Reply(StreamHead() + ChunkOf("data: " + event + "\n\n") + ChunkOf("")); }
  OpenAiOptions To(const std::string& url) const {
    OpenAiOptions options;
    options.profile = {Api::kCompletions, ServerKind::kVllm, "m", ""};
    options.http.urls = {net::ParseUrl(url).value()};
    return options;
  }

  std::set<RequestError> reached_;
};

// Every kind of error there is, each reached here or named as what others find out.
TEST_F(KindsOfErrors, AreAllReached) {
  const std::set<RequestError> of_others = {
      RequestError::kDns,  // names are looked up before the run: OpenAiSystem::Create refuses them
      // What only the plan of the load can tell.
      RequestError::kInputLengthMismatch, RequestError::kOutputLengthMismatch, RequestError::kCacheContaminated,
      RequestError::kCancelledByClient, RequestError::kNotIssued};
  const std::string first = StreamHead() + ChunkOf("data: " + TextChoice(" a") + "\n\n");

  OpenAiOptions nowhere = To(fmt::format("http://127.0.0.1:{}", net::ClosedPort()));
  Run(nowhere);  // connect_refused
  nowhere.http.source_addresses = {"192.0.2.1"};
  Run(nowhere);  // connect_failed
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  Run(To(fmt::format("https://127.0.0.1:{}", silent.port())), {.connect_ns = 30 * kMs});
  ScriptedServer plain([](ScriptedConnection& connection, int) { connection.Send(WholeResponse(400, "not TLS")); });
  Run(To(fmt::format("https://127.0.0.1:{}", plain.port())));  // tls
  ScriptedServer resetting([](ScriptedConnection& connection, int) {
    connection.AwaitBytes();
    connection.Reset();
  });
  Run(Options(resetting, Api::kCompletions), {.total_ns = net::kPatienceNs}, 16 << 20);  // send_fail
  Run(Options(silent, Api::kCompletions), {.headers_ns = 30 * kMs});
  Reply(StreamHead(), {.first_token_ns = 30 * kMs});
  Reply(first, {.idle_ns = 30 * kMs});
  Reply(first, {.total_ns = 30 * kMs});
  Reply("", {}, false);     // reset_before_headers
  Reply(first, {}, false);  // reset_midstream
  for (const int status : {307, 404, 429, 500}) Reply(WholeResponse(status, "no"));
  Reply("SSH-2.0-OpenSSH_9.2\r\n");  // bad_response
  ReplyEvent(R"({"error":{"message":"no"}})");
  ReplyEvent(TextChoice("a", R"("finish_reason":"abort")"));
  ReplyEvent("{");                      // parse_error
  ReplyEvent(TextChoice("a"));          // truncated
  ReplyEvent(TextChoice("", kFinish));  // zero_tokens

  for (int value = static_cast<int>(RequestError::kNone) + 1; value <= static_cast<int>(RequestError::kNotIssued); ++value) {
    const auto kind = static_cast<RequestError>(value);
    EXPECT_NE(reached_.contains(kind), of_others.contains(kind)) << record::Name(kind);
  }
}

}  // namespace
}  // namespace moecap::openai
