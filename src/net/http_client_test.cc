#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "net/stream_parser.h"
#include "net/testing/allocation_counter.h"
#include "net/testing/client_world.h"
#include "net/testing/scripted_server.h"

namespace moecap::net {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(HttpClient, SendsARequestAndReadsItsResponse) {
  std::string request;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    request = connection.ReadRequest();
    connection.SendInPieces(StreamHead() + ChunkOf("hello ") + ChunkOf("world") + ChunkOf(""), 3);
    connection.Hold();
  });
  HttpClientOptions options;
  options.headers = {{"Authorization", "Bearer secret"}};
  World world(server.Url() + "/base", options);
  Recorder recorder;
  world.Run(recorder, {.total_ns = kPatienceNs}, "{\"a\":1}");
  EXPECT_EQ(recorder.error(), NetErrorKind::kNone) << recorder.message();
  EXPECT_EQ(recorder.body, "hello world");
  EXPECT_EQ(recorder.status, 200);
  EXPECT_THAT(request, testing::StartsWith("POST /base/v1/completions HTTP/1.1\r\nHost: localhost:"));
  EXPECT_THAT(request, AllOf(HasSubstr("Authorization: Bearer secret\r\n"), HasSubstr("Accept-Encoding: identity\r\n"),
                             HasSubstr("Content-Length: 7\r\n"), testing::EndsWith("\r\n\r\n{\"a\":1}")));
  const ExchangeTimings& t = recorder.result->timings;
  EXPECT_LT(0, t.connect_start_ns);
  EXPECT_LE(t.connect_start_ns, t.connected_ns);
  EXPECT_LE(t.connected_ns, t.sent_ns);
  EXPECT_LE(t.sent_ns, t.head_ns);
  EXPECT_LE(t.head_ns, t.first_byte_ns);
  EXPECT_LE(t.first_byte_ns, t.end_ns);
}

TEST(HttpClient, KeepsConnectionsWarm) {
  ScriptedServer server(Always(WholeResponse(200, "x")));
  World world(server.Url());
  ASSERT_TRUE(world.client->WarmUp(3, kPatienceNs).ok());
  EXPECT_EQ(world.client->counters().connections_opened, 3);
  for (int i = 0; i < 5; ++i) {
    Recorder recorder;
    world.Run(recorder);
    EXPECT_EQ(recorder.body, "x") << recorder.message();
    EXPECT_EQ(recorder.result->timings.connect_start_ns, 0);
  }
  EXPECT_EQ(world.client->counters().connections_opened, 3);
}

// A caller with something to do does not wait until everything that is there has been read; but something is read each time.
TEST(HttpClient, ComesBackWhenItsTimeIsOver) {
  constexpr int kExchanges = 48;
  std::atomic<int> answered = 0;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      connection.Send(WholeResponse(200, "x"));
      ++answered;
    }
  });
  World world(server.Url());
  ASSERT_TRUE(world.client->WarmUp(kExchanges, kPatienceNs).ok());
  std::vector<Recorder> recorders(kExchanges);
  for (Recorder& recorder : recorders) world.client->Start({.path = "/", .body = "{}"}, {}, recorder);
  while (answered < kExchanges) std::this_thread::yield();
  const auto ended = [&] {
    return std::ranges::count_if(recorders, [](const Recorder& each) { return each.result.has_value(); });
  };
  for (int polls = 1; ended() < kExchanges; ++polls) {
    const auto before = ended();
    world.client->Poll(0);
    EXPECT_LE(ended() - before, kExchanges / 2) << "reads of poll " << polls;
  }
}

TEST(HttpClient, AnIdleConnectionGrowsTooOld) {
  ScriptedServer server(Always(WholeResponse(200, "x")));
  HttpClientOptions options;
  options.idle_discard_ns = 0;
  World world(server.Url(), options);
  Recorder first, second;
  world.Run(first);
  world.Run(second);
  EXPECT_EQ(world.client->counters().connections_opened, 2);
}

TEST(HttpClient, NamesResets) {
  std::promise<void> read;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("part"));
    read.get_future().wait();
    connection.Reset();
  });
  World world(server.Url());
  Recorder recorder;
  world.client->Start({.path = "/"}, {.total_ns = kPatienceNs}, recorder);
  while (recorder.pieces == 0) world.client->Poll(kNoLimit);
  read.set_value();
  while (!recorder.result) world.client->Poll(kNoLimit);
  EXPECT_EQ(recorder.error(), NetErrorKind::kResetMidstream) << recorder.message();
  EXPECT_EQ(recorder.body, "part");
}

// Case 13: redirects are reported, not followed.
TEST(HttpClient, ReportsARedirectAndItsTarget) {
  ScriptedServer server(Always(WholeResponse(307, "", "Location: http://elsewhere/\r\n")));
  World world(server.Url());
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.status, 307);
  EXPECT_EQ(recorder.location, "http://elsewhere/");
  EXPECT_EQ(recorder.error(), NetErrorKind::kNone);
  EXPECT_EQ(server.connections(), 1);
}

// Case 14.
TEST(HttpClient, RefusesAnEncodingNobodyAskedFor) {
  ScriptedServer server(Always(WholeResponse(200, "zzz", "Content-Encoding: gzip\r\n")));
  World world(server.Url());
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.error(), NetErrorKind::kBadResponse);
  EXPECT_THAT(recorder.message(), AllOf(HasSubstr("gzip"), HasSubstr("compression")));
}

TEST(HttpClient, NamesAClosedPort) {
  World world("http://localhost:" + std::to_string(ClosedPort()));
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.error(), NetErrorKind::kConnectRefused);
  EXPECT_THAT(recorder.message(), AllOf(HasSubstr("http://localhost:"), HasSubstr("is the server running")));
  EXPECT_THAT(world.client->WarmUp(2, kPatienceNs).error().message, HasSubstr("is the server running"));
}

TEST(HttpClient, NamesAnUnknownHost) {
  const SteadyClock clock;
  HttpClientOptions options;
  options.urls = {ParseUrl("http://no-such-host.invalid").value()};
  const auto client = HttpClient::Create(options, clock);
  ASSERT_FALSE(client.ok());
  EXPECT_THAT(client.error().message, HasSubstr("http://no-such-host.invalid:80"));
}

TEST(HttpClient, RefusesOptionsThatCannotBe) {
  const SteadyClock clock;
  const auto error = [&](HttpClientOptions options) {
    if (options.urls.empty()) options.urls = {ParseUrl("http://127.0.0.1:1").value()};
    return HttpClient::Create(std::move(options), clock).error().message;
  };
  HttpClientOptions options;
  options.headers = {{"X", "secret\r\nInjected: 1"}};
  EXPECT_THAT(error(options), AllOf(HasSubstr("header X"), Not(HasSubstr("secret"))));
  options.headers = {{"X Y", "1"}};
  EXPECT_THAT(error(options), HasSubstr("X Y"));
  options = {};
  options.source_addresses = {"here"};
  EXPECT_THAT(error(options), HasSubstr("\"here\""));
  options = {};
  options.urls = {ParseUrl("http://me:hidden@127.0.0.1:1").value()};
  EXPECT_THAT(error(options), AllOf(HasSubstr("http://127.0.0.1:1"), Not(HasSubstr("hidden"))));
  options = {};
  options.urls = {ParseUrl("https://127.0.0.1:1").value()};
  options.tls.ca_file = "/does/not/exist.pem";
  EXPECT_THAT(error(options), HasSubstr("/does/not/exist.pem"));
  EXPECT_FALSE(HttpClient::Create({}, clock).ok());
}

// A server that accepts and never answers, one that stalls, one that drips without progress, one that never ends.
TEST(HttpClient, EveryPhaseHasALimit) {
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  ScriptedServer stalling([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("x"));
    connection.Hold();
  });
  ScriptedServer dripping([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead());
    while (!connection.failed()) {
      connection.Send(ChunkOf(":"));
      connection.SleepMs(5);
    }
  });
  const auto outcome = [](const ScriptedServer& server, const PhaseLimits& limits, BodyVerdict verdict) {
    World world(server.Url());
    Recorder recorder;
    recorder.verdict = verdict;
    world.Run(recorder, limits);
    EXPECT_THAT(recorder.message(), HasSubstr(server.Url()));
    return recorder.error();
  };
  const auto progress = BodyVerdict::kProgress, none = BodyVerdict::kNoProgress;
  EXPECT_EQ(outcome(silent, {.headers_ns = 50 * kMs}, progress), NetErrorKind::kHeaderTimeout);
  EXPECT_EQ(outcome(silent, {.headers_ns = kPatienceNs, .first_progress_ns = 50 * kMs}, progress),
            NetErrorKind::kFirstProgressTimeout);
  EXPECT_EQ(outcome(silent, {.total_ns = 50 * kMs}, progress), NetErrorKind::kTotalTimeout);
  EXPECT_EQ(outcome(stalling, {.first_progress_ns = 100 * kMs}, none), NetErrorKind::kFirstProgressTimeout);
  EXPECT_EQ(outcome(stalling, {.first_progress_ns = kPatienceNs, .idle_ns = 50 * kMs}, progress), NetErrorKind::kIdleTimeout);
  EXPECT_EQ(outcome(dripping, {.first_progress_ns = 100 * kMs}, none), NetErrorKind::kFirstProgressTimeout);
  EXPECT_EQ(outcome(dripping, {.idle_ns = kPatienceNs, .total_ns = 100 * kMs}, progress), NetErrorKind::kTotalTimeout);
}

TEST(HttpClient, TlsThatIsNeverAnsweredRunsIntoTheConnectLimit) {
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  World world("https://localhost:" + std::to_string(silent.port()));
  Recorder recorder;
  world.Run(recorder, {.connect_ns = 50 * kMs});
  EXPECT_EQ(recorder.error(), NetErrorKind::kConnectTimeout);
  EXPECT_THAT(recorder.message(), HasSubstr("https"));
}

TEST(HttpClient, PollReturnsAtItsTime) {
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  World world(silent.Url());
  Recorder recorder;
  world.client->Start({.path = "/"}, {}, recorder);
  const int64_t until_ns = world.clock.NowNs() + 20 * kMs;
  EXPECT_FALSE(world.client->Poll(until_ns));
  EXPECT_GE(world.clock.NowNs(), until_ns);
}

TEST(HttpClient, CancelClosesTheConnection) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("x"));
    connection.Hold();
  });
  World world(server.Url());
  Recorder cancelled, other;
  const ExchangeId id = world.client->Start({.path = "/"}, {}, cancelled);
  while (cancelled.pieces == 0) world.client->Poll(kNoLimit);
  world.client->Cancel(id);
  world.client->Cancel(id);
  world.client->Cancel(12345678901234u);
  world.Run(other, {.first_progress_ns = kPatienceNs, .idle_ns = 30 * kMs});
  EXPECT_FALSE(cancelled.result.has_value());
  EXPECT_EQ(server.connections(), 2);
}

TEST(HttpClient, AHandlerCanAbort) {
  ScriptedServer server(Always(StreamHead() + ChunkOf("x") + ChunkOf("y") + ChunkOf("")));
  World world(server.Url());
  Recorder recorder;
  recorder.verdict = BodyVerdict::kAbort;
  world.Run(recorder);
  EXPECT_EQ(recorder.error(), NetErrorKind::kAborted);
  EXPECT_EQ(recorder.pieces, 1);
}

TEST(HttpClient, AHeaderFloodIsRefused) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n");
    const std::string line = "X-Flood: " + std::string(1000, 'x') + "\r\n";
    for (int i = 0; i < 100000; ++i) connection.Send(line);
  });
  World world(server.Url());
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.error(), NetErrorKind::kBadResponse);
  EXPECT_THAT(recorder.message(), HasSubstr("larger than 65536 bytes"));
  EXPECT_LT(world.client->counters().bytes, 1 << 20);
}

TEST(HttpClient, TakesSeveralUrlsInTurn) {
  ScriptedServer a(Always(WholeResponse(200, "a"))), b(Always(WholeResponse(200, "b")));
  const SteadyClock clock;
  HttpClientOptions options;
  options.urls = {ParseUrl(a.Url()).value(), ParseUrl(b.Url()).value()};
  options.source_addresses = {"127.0.0.2", "127.0.0.3"};
  const auto client = HttpClient::Create(options, clock).value();
  std::string bodies;
  for (size_t i = 0; i < 6; ++i) {
    Recorder recorder;
    client->Start({.path = "/"}, {.total_ns = kPatienceNs}, recorder);
    while (!recorder.result) client->Poll(kNoLimit);
    bodies += recorder.body;
    EXPECT_EQ(recorder.result->url, i % 2);
  }
  EXPECT_EQ(bodies, "ababab");
  EXPECT_EQ(client->counters().connections_opened, 2);
}

TEST(HttpClient, ALargeRequestGoesOutInPieces) {
  std::string received;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    connection.SleepMs(30);
    received = connection.ReadRequest();
    connection.Send(WholeResponse(200, "ok"));
    connection.Hold();
  });
  World world(server.Url());
  const std::string body(20 << 20, 'x');
  Recorder recorder;
  world.Run(recorder, {.total_ns = kPatienceNs}, body);
  EXPECT_EQ(recorder.body, "ok") << recorder.message();
  EXPECT_EQ(received.size() - received.find("\r\n\r\n") - 4, body.size());
}

TEST(HttpClient, GoesThroughAProxy) {
  std::string request;
  ScriptedServer proxy([&](ScriptedConnection& connection, int) {
    request = connection.ReadRequest();
    connection.Send(WholeResponse(200, "via proxy"));
    connection.Hold();
  });
  HttpClientOptions options;
  options.proxy = ParseUrl("http://user:hidden@127.0.0.1:" + std::to_string(proxy.port())).value();
  World world("http://model.example:8000", options);
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.body, "via proxy") << recorder.message();
  EXPECT_THAT(request,
              testing::StartsWith("POST http://model.example:8000/v1/completions HTTP/1.1\r\nHost: model.example:8000\r\n"));
  EXPECT_THAT(request, HasSubstr("Proxy-Authorization: Basic dXNlcjpoaWRkZW4=\r\n"));

  ScriptedServer refusing(Always(WholeResponse(407, "")));
  options.proxy = ParseUrl("http://user:hidden@127.0.0.1:" + std::to_string(refusing.port())).value();
  World secure("https://model.example", options);
  Recorder refused;
  secure.Run(refused);
  EXPECT_EQ(refused.error(), NetErrorKind::kConnectFailed);
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("407"), HasSubstr("https://model.example:443"), Not(HasSubstr("hidden"))));
}

TEST(HttpClient, KernelStampsAreNoLaterThanOurs) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead());
    for (int i = 0; i < 20; ++i) {
      connection.Send(ChunkOf("x"));
      connection.SleepMs(1);
    }
    connection.Send(ChunkOf(""));
  });
  HttpClientOptions options;
  options.kernel_timestamps = true;
  World world(server.Url(), options);
  Recorder recorder;
  world.Run(recorder);
  // Some kernels offer none; where they do, the delay is small and never negative.
  EXPECT_TRUE(recorder.last.kernel_delay_ns == -1 || recorder.last.kernel_delay_ns >= 0);
  EXPECT_EQ(recorder.body.size(), 20u);
}

// Counts the events of a stream without keeping them.
class EventCounter final : public ExchangeHandler {
 public:
  void OnHead(const ResponseHead&) override {}
  BodyVerdict OnBody(std::string_view bytes, const Arrival&) override {
    parser.Push(bytes);
    StreamEvent event;
    StreamParser::Step step;
    while ((step = parser.Next(event)) == StreamParser::Step::kEvent) ++events;
    return step == StreamParser::Step::kTooLarge ? BodyVerdict::kAbort : BodyVerdict::kProgress;
  }
  void OnEnd(const ExchangeResult& end) override { result = end; }
  StreamParser parser;
  int64_t events = 0;
  std::optional<ExchangeResult> result;
};

TEST(HttpClient, AllocatesNothingPerEvent) {
  constexpr int kEvents = 5000;
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead());
    const std::string event = "data: {\"choices\":[{\"text\":\" token\"}]}\n\n";
    for (int i = 0; i < kEvents; ++i) {
      if (i % 7 == 0) {  // an event over two chunks
        connection.Send(ChunkOf(event.substr(0, 11)) + ChunkOf(event.substr(11)));
      } else {
        connection.Send(ChunkOf(event));
      }
    }
    connection.Send(ChunkOf(""));
    connection.Hold();
  });
  World world(server.Url());
  EventCounter counter;
  world.client->Start({.path = "/"}, {.idle_ns = kPatienceNs, .total_ns = kPatienceNs}, counter);
  while (counter.events < 100) world.client->Poll(kNoLimit);
  const int64_t before = AllocationsOfThisThread();
  while (counter.events < kEvents) world.client->Poll(kNoLimit);
  EXPECT_EQ(AllocationsOfThisThread() - before, 0);
  while (!counter.result) world.client->Poll(kNoLimit);
  EXPECT_EQ(counter.events, kEvents);
}

// 1 GB without a newline: the event limit ends it, and memory stays near the limit.
TEST(HttpClient, AStreamWithoutANewlineStaysInBounds) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + "40000000\r\ndata: ");
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 1024; ++i) connection.Send(block);
  });
  World world(server.Url());
  EventCounter counter;
  counter.parser = StreamParser(StreamFormat::kServerSentEvents, 8 << 20);
  const size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  world.client->Start({.path = "/"}, {.total_ns = kPatienceNs}, counter);
  while (!counter.result) world.client->Poll(kNoLimit);
  EXPECT_EQ(counter.result->error.kind, NetErrorKind::kAborted);
  EXPECT_EQ(counter.events, 0);
  EXPECT_LT(world.client->counters().bytes, 10 << 20);
  EXPECT_LT(::mallinfo2().uordblks + ::mallinfo2().hblkhd, before + (20u << 20));
}

TEST(Fetch, ReadsAWholeResponse) {
  ScriptedServer server(Always(WholeResponse(404, "not here")));
  World world(server.Url());
  const auto response = world.client->Fetch({.method = "GET", .path = "/props"}, kPatienceNs);
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "not here");
  EXPECT_THAT(world.client->Fetch({.method = "GET", .path = "/props"}, kPatienceNs, 3).error().message,
              HasSubstr("larger than 3"));
}

}  // namespace
}  // namespace moecap::net
