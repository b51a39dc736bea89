// Every fault at every interface: the request ends with the right kind of error, in bounded time.
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
using record::RequestError;

class FaultMatrix : public testing::TestWithParam<Wording> {
 protected:
  std::string Event(std::string_view json) const {
    const bool lines = Format(GetParam().api) == net::StreamFormat::kNdjson;
    return lines ? fmt::format("{}\n", json) : fmt::format("data: {}\n\n", json);
  }
  std::string Head() const {
    return StreamHead(Format(GetParam().api) == net::StreamFormat::kNdjson ? "application/x-ndjson" : "text/event-stream");
  }
  std::string First() const { return Head() + ChunkOf(Event(GetParam().first)); }

  record::RequestRecord Measure(const std::string& url,
                                const load::Deadlines& deadlines = {.total_ns = net::kPatienceNs}) const {
    OpenAiOptions options;
    options.http.urls = {net::ParseUrl(url).value()};
    options.profile = {GetParam().api, GetParam().server, "m", ""};
    load::RequestSpec request = Request();
    request.deadlines = deadlines;
    const record::RequestRecord record = openai::Measure(options, request);
    EXPECT_EQ(record.ok(), record.error_kind == RequestError::kNone);
    EXPECT_EQ(record.error.empty(), record.ok());
    return record;
  }
  // After the request was read.
  record::RequestRecord Serve(const std::function<void(ScriptedConnection&)>& script,
                              const load::Deadlines& deadlines = {.total_ns = net::kPatienceNs}) const {
    ScriptedServer server([&](ScriptedConnection& connection, int) {
      connection.ReadRequest();
      script(connection);
    });
    return Measure(server.Url(), deadlines);
  }
  RequestError Kind(const std::string& bytes) const {
    return Serve([&](ScriptedConnection& connection) {
             connection.Send(bytes);
             connection.Hold();
           })
        .error_kind;
  }
};

TEST_P(FaultMatrix, NoFaultIsASuccess) {
  const std::string answer = First() + ChunkOf(Event(GetParam().last)) + ChunkOf("");
  for (const size_t piece : {size_t{1}, size_t{17}, size_t{100000}}) {
    const auto record = Serve([&](ScriptedConnection& connection) { connection.SendInPieces(answer, piece, 10); });
    EXPECT_EQ(record.error, "");
    EXPECT_EQ(record.text, "a\xe2\x82\xac");
    EXPECT_EQ(record.output_tokens, 2);
  }
}

TEST_P(FaultMatrix, FaultsOfTheConnection) {
  EXPECT_EQ(Measure(fmt::format("http://127.0.0.1:{}", net::ClosedPort())).error_kind, RequestError::kConnectRefused);
  EXPECT_EQ(Serve([](ScriptedConnection& connection) { connection.Reset(); }).error_kind, RequestError::kResetBeforeHeaders);
  EXPECT_EQ(Serve([&](ScriptedConnection& connection) { connection.Send(First()); }).error_kind, RequestError::kResetMidstream);
  EXPECT_EQ(Serve([](ScriptedConnection& connection) { connection.Hold(); }, {.headers_ns = 30 * kMs}).error_kind,
            RequestError::kHeaderTimeout);
  const auto stalled = Serve(
      [&](ScriptedConnection& connection) {
        connection.Send(First());
        connection.Hold();
      },
      {.idle_ns = 30 * kMs});
  EXPECT_EQ(stalled.error_kind, RequestError::kIdleTimeout);
  EXPECT_EQ(stalled.output_tokens, 1);
  const auto dripping = Serve(
      [&](ScriptedConnection& connection) {
        connection.Send(Head());
        connection.SendInPieces(ChunkOf(Event(GetParam().first)), 1, 20000);
      },
      {.first_token_ns = 100 * kMs});
  EXPECT_EQ(dripping.error_kind, RequestError::kFirstTokenTimeout);
}

TEST_P(FaultMatrix, FaultsOfTheAnswer) {
  EXPECT_EQ(Kind(WholeResponse(429, R"({"error":"busy"})", "Retry-After: 1\r\n")), RequestError::kHttp429);
  EXPECT_EQ(Kind(WholeResponse(503, "loading")), RequestError::kHttp5xx);
  EXPECT_EQ(Kind(WholeResponse(401, "{}")), RequestError::kHttp4xx);
  EXPECT_EQ(Kind("SSH-2.0-OpenSSH_9.2\r\n"), RequestError::kBadResponse);
  EXPECT_EQ(Kind(Head() + "zz\r\n"), RequestError::kBadResponse);
  EXPECT_EQ(Kind(First() + ChunkOf(Event(GetParam().error))), RequestError::kStreamErrorObject);
  EXPECT_EQ(Kind(Head() + ChunkOf(Event(GetParam().error))), RequestError::kStreamErrorObject);
  EXPECT_EQ(Kind(First() + ChunkOf(Event("{\"broken\":"))), RequestError::kParseError);
  EXPECT_EQ(Kind(First() + ChunkOf(Event("{\"text\":\"\xff\"}"))), RequestError::kParseError);
  EXPECT_EQ(Kind(First() + ChunkOf("")), RequestError::kTruncated);
  EXPECT_EQ(Kind(First() + ChunkOf(Event(GetParam().last).substr(0, 20)) + ChunkOf("")), RequestError::kTruncated);
  EXPECT_EQ(Kind(Head() + ChunkOf("")), RequestError::kTruncated);
}

INSTANTIATE_TEST_SUITE_P(Interfaces, FaultMatrix, testing::ValuesIn(kWordings), [](const auto& wording) {
  std::string name(Name(wording.param.api));
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace moecap::openai
