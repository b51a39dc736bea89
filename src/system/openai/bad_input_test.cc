// Servers as no one wants them, at every interface: the message says what is wrong, where, and what to do; memory stays
// bounded; the request ends by itself.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/fs.h"
#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using net::Certificate;
using net::ChunkOf;
using net::ScriptedConnection;
using net::ScriptedServer;
using net::StreamHead;
using net::WholeResponse;
using record::RequestError;
using testing::AllOf;
using testing::HasSubstr;

class BadInput : public testing::TestWithParam<Wording> {
 protected:
  OpenAiOptions To(const std::string& url) const {
    OpenAiOptions options;
    options.http.urls = {net::ParseUrl(url).value()};
    options.profile = {GetParam().api, GetParam().server, "m", ""};
    return options;
  }
  // Requires that the message names the server.
  record::RequestRecord Run(const OpenAiOptions& options, const load::Deadlines& deadlines = {.total_ns = net::kPatienceNs},
                            bool stream = true) const {
    load::RequestSpec request = Request();
    request.deadlines = deadlines;
    request.stream = stream;
    const record::RequestRecord record = Measure(options, request);
    EXPECT_FALSE(record.ok());
    EXPECT_THAT(record.error, testing::StartsWith(options.http.urls.front().Origin() + ": "));
    EXPECT_LT(record.error.size(), 700u);
    return record;
  }
  record::RequestRecord Run(const ScriptedServer& server, const load::Deadlines& deadlines = {.total_ns = net::kPatienceNs},
                            bool stream = true) const {
    return Run(To(server.Url()), deadlines, stream);
  }
  std::string Head() const {
    return StreamHead(Format(GetParam().api) == net::StreamFormat::kNdjson ? "application/x-ndjson" : "text/event-stream");
  }
};

// `bytes`, then `block` over and over, until the client has enough or 1 GB went out.
ScriptedServer::Script Flood(const std::string& bytes, const std::string& block) {
  return [=](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(bytes);
    std::string blocks;
    while (blocks.size() < 1 << 20) blocks += block;
    for (int i = 0; i < 1024; ++i) connection.Send(blocks);
  };
}

// How far the process's memory rose while `run` ran, in bytes. 0 where the kernel does not tell.
template <typename Run>
int64_t PeakRise(Run&& run) {
  const auto high_water = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::atoll(line.c_str() + 6) * 1024;
    }
    return 0LL;
  };
  std::ofstream("/proc/self/clear_refs") << "5";  // the high-water mark begins anew
  const int64_t before = high_water();
  run();
  return high_water() - before;
}

TEST_P(BadInput, UnreachableServers) {
  const auto closed = Run(To(fmt::format("http://127.0.0.1:{}", net::ClosedPort())));
  EXPECT_EQ(closed.error_kind, RequestError::kConnectRefused);
  EXPECT_THAT(closed.error, HasSubstr("is the server running"));
  ScriptedServer closing([](ScriptedConnection&, int) {});
  ScriptedServer resetting([](ScriptedConnection& connection, int) { connection.Reset(); });
  for (const ScriptedServer* server : {&closing, &resetting}) {
    const auto ended = Run(*server);
    // A reset may come before connecting is over.
    EXPECT_THAT(ended.error_kind,
                testing::AnyOf(RequestError::kResetBeforeHeaders, RequestError::kSendFailed, RequestError::kConnectFailed));
    EXPECT_THAT(ended.error, testing::ContainsRegex("its log|take connections"));
  }
}

TEST_P(BadInput, WrongCertificatesAndProtocols) {
  const auto path = std::filesystem::path(testing::TempDir()) / fmt::format("moecap_bad_input_{}.pem", ::getpid());
  const Certificate good = net::MakeCertificate({}), expired = net::MakeCertificate({.expired = true}),
                    other = net::MakeCertificate({.name = "other.example"});
  const auto error = [&](const Certificate& served, const Certificate& trusted) {
    EXPECT_TRUE(WriteFileAtomically(path, trusted.certificate_pem).ok());
    ScriptedServer server(Answer(WholeResponse(200, "{}")), &served);
    OpenAiOptions options = To(server.Url());
    options.http.tls.ca_file = path.string();
    const auto record = Run(options);
    EXPECT_EQ(record.error_kind, RequestError::kTls);
    return record.error;
  };
  EXPECT_THAT(error(expired, expired), AllOf(HasSubstr("expired"), HasSubstr("renew")));
  EXPECT_THAT(error(other, other), AllOf(HasSubstr("hostname mismatch"), HasSubstr("use the name")));
  EXPECT_THAT(error(good, other), AllOf(HasSubstr("certificate is refused"), HasSubstr("`ca`")));
  std::filesystem::remove(path);

  ScriptedServer plain(Answer(WholeResponse(200, "{}")));
  const auto no_tls = Run(To(fmt::format("https://localhost:{}", plain.port())), {.connect_ns = 200 * kMs});
  EXPECT_TRUE(no_tls.error_kind == RequestError::kTls || no_tls.error_kind == RequestError::kConnectTimeout);
  EXPECT_THAT(no_tls.error, HasSubstr("http"));
  ScriptedServer secure(Answer(WholeResponse(200, "{}")), &good);
  EXPECT_THAT(Run(To(fmt::format("http://localhost:{}", secure.port()))).error, HasSubstr("https://"));
}

TEST_P(BadInput, RefusedRequests) {
  const auto error = [&](const std::string& answer) {
    ScriptedServer server(Answer(answer));
    return Run(server).error;
  };
  EXPECT_THAT(error(WholeResponse(401, R"({"error":"Unauthorized"})")),
              AllOf(HasSubstr("status 401: Unauthorized; "), HasSubstr("api_key_env")));
  EXPECT_THAT(error(WholeResponse(404, R"({"error":{"message":"The model `m` does not exist.","code":404}})")),
              HasSubstr("status 404: The model `m` does not exist; check the URL, the api and the model's name"));
  EXPECT_THAT(error(WholeResponse(500, "")), HasSubstr("status 500: without a message"));
  EXPECT_THAT(error(WholeResponse(200, "<html>welcome</html>", "Content-Type: text/html; charset=utf-8\r\n")),
              HasSubstr("web page; check the URL"));
  EXPECT_THAT(error(StreamHead("text/plain") + ChunkOf("hello\n\n") + ChunkOf("")), testing::ContainsRegex("api|JSON"));
}

TEST_P(BadInput, ServersThatNeverAnswer) {
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  const auto header = Run(silent, {.headers_ns = 40 * kMs});
  EXPECT_EQ(header.error_kind, RequestError::kHeaderTimeout);
  EXPECT_THAT(header.error, AllOf(HasSubstr("0.04 s"), HasSubstr("overloaded")));
  EXPECT_EQ(Run(silent, {.total_ns = 40 * kMs}).error_kind, RequestError::kTotalTimeout);
  ScriptedServer trickling([&](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.SendInPieces("HTTP/1.1 200 OK\r\nX-Slow: " + std::string(1 << 20, 'x'), 1, 5000);
  });
  EXPECT_EQ(Run(trickling, {.headers_ns = 60 * kMs}).error_kind, RequestError::kHeaderTimeout);
  ScriptedServer body([&](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(Head() + "fffff\r\n");
    connection.SendInPieces(std::string(1 << 20, 'x'), 1, 5000);
  });
  const auto first = Run(body, {.first_token_ns = 60 * kMs});
  EXPECT_EQ(first.error_kind, RequestError::kFirstTokenTimeout);
  EXPECT_THAT(first.error, HasSubstr("no output came within 0.06 s"));
}

TEST_P(BadInput, FloodsStayInBounds) {
  constexpr size_t kLimit = 8 << 20;
  const std::string line(64, 'x');
  const auto flood = [&](const std::string& begin, const std::string& block, bool stream = true) {
    ScriptedServer server(Flood(begin, block));
    OpenAiOptions options = To(server.Url());
    options.max_event_bytes = kLimit;
    record::RequestRecord record;
    const int64_t rise = PeakRise([&] { record = Run(options, {.total_ns = net::kPatienceNs}, stream); });
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(rise, static_cast<int64_t>(5 * kLimit)) << begin;
#else
    static_cast<void>(rise);
#endif
    return record;
  };
  // An event, a whole answer and an error without end.
  const auto event = flood(Head() + "40000000\r\ndata: {\"", line);
  EXPECT_EQ(event.error_kind, RequestError::kParseError);
  EXPECT_THAT(event.error, HasSubstr("8388608 bytes"));
  const auto whole = flood("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"", line, false);
  EXPECT_EQ(whole.error_kind, RequestError::kParseError);
  EXPECT_THAT(whole.error, HasSubstr("8388608 bytes"));
  EXPECT_EQ(flood("HTTP/1.1 500 Oops\r\n\r\n", line).error_kind, RequestError::kHttp5xx);
  // Many headers, one without end, a status line without end, interim responses without end, a chunk's size, trailers.
  for (const auto& [begin, block] : {std::pair<std::string, std::string>{"HTTP/1.1 200 OK\r\n", "X-Flood: " + line + "\r\n"},
                                     {"HTTP/1.1 200 OK\r\nX-Long: ", line},
                                     {"HTTP/1.1 200 ", line},
                                     {"", "HTTP/1.1 100 Continue\r\n\r\n"},
                                     {Head() + "1;", line},
                                     {Head() + "0\r\n", "X-Flood: " + line + "\r\n"},
                                     {"", line}}) {
    EXPECT_EQ(flood(begin, block).error_kind, RequestError::kBadResponse) << begin;
  }
}

INSTANTIATE_TEST_SUITE_P(Interfaces, BadInput, testing::ValuesIn(kWordings), [](const auto& wording) {
  std::string name(Name(wording.param.api));
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace moecap::openai
