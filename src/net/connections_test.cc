// Where connections come from, and how they end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "net/testing/client_world.h"

namespace moecap::net {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// Case 12: the server closes an idle connection as the request goes out.
TEST(HttpClient, RepeatsARequestThatAClosedConnectionSwallowed) {
  ScriptedServer server([](ScriptedConnection& connection, int number) {
    connection.ReadRequest();
    connection.Send(WholeResponse(200, "x"));
    connection.ReadRequest();
    if (number == 0) return;  // swallowed
    connection.Send(WholeResponse(200, "y"));
    connection.Hold();
  });
  World world(server.Url());
  Recorder first, second;
  world.Run(first);
  world.Run(second);
  EXPECT_EQ(second.body, "x") << second.message();
  EXPECT_EQ(second.result->retries, 1);
  EXPECT_GT(second.result->timings.connect_start_ns, 0);
  EXPECT_EQ(world.client->counters().keep_alive_retries, 1);
}

// A server that closes after every answer without announcing it: after two requests that were lost that way, each gets a
// connection of its own.
TEST(HttpClient, LearnsThatAServerKeepsNoConnection) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(WholeResponse(200, "x"));
    connection.ReadRequest();  // and goes away
  });
  World world(server.Url());
  std::vector<int> retries;
  for (int i = 0; i < 5; ++i) {
    Recorder recorder;
    world.Run(recorder);
    EXPECT_EQ(recorder.body, "x") << recorder.message();
    retries.push_back(recorder.result->retries);
  }
  EXPECT_THAT(retries, testing::ElementsAre(0, 1, 1, 0, 0));
  EXPECT_EQ(world.client->counters().keep_alive_retries, 2);
}

TEST(HttpClient, RepeatsNothingThatWasAnswered) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(WholeResponse(200, "x"));
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200");  // the server has begun to answer
  });
  World world(server.Url());
  Recorder first, second;
  world.Run(first);
  world.Run(second);
  EXPECT_EQ(second.error(), NetErrorKind::kResetBeforeHeaders);
  EXPECT_EQ(second.result->retries, 0);
}

TEST(HttpClient, AFreshConnectionIsNotRetried) {
  ScriptedServer server([](ScriptedConnection& connection, int) { connection.ReadRequest(); });
  World world(server.Url());
  Recorder recorder;
  world.Run(recorder);
  EXPECT_EQ(recorder.error(), NetErrorKind::kResetBeforeHeaders);
  EXPECT_THAT(recorder.message(), HasSubstr(server.Url()));
  EXPECT_EQ(server.connections(), 1);
}

// The same when the connection was reset: the request cannot even be sent.
TEST(HttpClient, RepeatsARequestThatAResetConnectionRefused) {
  std::promise<void> read, reset;
  ScriptedServer server([&](ScriptedConnection& connection, int number) {
    connection.ReadRequest();
    connection.Send(WholeResponse(200, "x"));
    if (number > 0) return connection.Hold();
    read.get_future().wait();
    connection.Reset();
    reset.set_value();
  });
  World world(server.Url());
  Recorder first, second;
  world.Run(first);
  read.set_value();
  reset.get_future().wait();
  world.Run(second);
  EXPECT_EQ(second.body, "x") << second.message();
  EXPECT_EQ(second.result->retries, 1);
}

// A refusal that comes before the request was read to its end is the answer, not a broken connection.
TEST(HttpClient, AnEarlyRefusalIsRead) {
  for (const bool keep : {false, true}) {
    ScriptedServer server([keep](ScriptedConnection& connection, int) {
      connection.Send(WholeResponse(413, "too large", "Connection: close\r\n"));
      if (keep) connection.Hold();
    });
    World world(server.Url());
    Recorder recorder;
    world.Run(recorder, {.total_ns = kPatienceNs}, std::string(64 << 20, 'x'));
    EXPECT_EQ(recorder.status, 413) << recorder.message();
    EXPECT_EQ(recorder.body, "too large");
  }
}

TEST(HttpClient, NamesAServerThatClosesAtOnce) {
  ScriptedServer closing([](ScriptedConnection&, int) {});
  ScriptedServer resetting([](ScriptedConnection& connection, int) { connection.Reset(); });
  for (const ScriptedServer* server : {&closing, &resetting}) {
    World world(server->Url());
    Recorder recorder;
    world.Run(recorder);
    // A reset may come before connecting is over.
    EXPECT_THAT(recorder.error(),
                testing::AnyOf(NetErrorKind::kResetBeforeHeaders, NetErrorKind::kSendFailed, NetErrorKind::kConnectFailed));
    EXPECT_THAT(recorder.message(), AllOf(HasSubstr(server->Url()), testing::ContainsRegex("log|take connections")));
  }
}

TEST(HttpClient, ConnectionsLeaveFromEverySourceAddress) {
  std::mutex mutex;
  std::multiset<std::string> peers;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    {
      const std::lock_guard lock(mutex);
      peers.insert(connection.PeerAddress());
    }
    connection.Hold();
  });
  HttpClientOptions options;
  options.source_addresses = {"127.0.0.2", "127.0.0.3"};
  World world("http://127.0.0.1:" + std::to_string(server.port()), options);
  ASSERT_TRUE(world.client->WarmUp(4, kPatienceNs).ok());
  for (size_t seen = 0; seen < 4;) {
    const std::lock_guard lock(mutex);
    seen = peers.size();
  }
  EXPECT_THAT(peers, UnorderedElementsAre("127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"));
}

TEST(HttpClient, NamesASourceAddressThatCannotBe) {
  const auto error = [](const char* source) {
    HttpClientOptions options;
    options.source_addresses = {source};
    World world("http://127.0.0.1:" + std::to_string(ClosedPort()), options);
    Recorder recorder;
    world.Run(recorder);
    EXPECT_EQ(recorder.error(), NetErrorKind::kConnectFailed);
    return recorder.message();
  };
  EXPECT_THAT(error("192.0.2.1"), HasSubstr("not one of this host"));
  EXPECT_THAT(error("::1"), HasSubstr("same family"));
}

// Small requests leave at once.
TEST(HttpClient, ConnectionsDoNotWaitForMoreToSend) {
  ScriptedServer server(Always(WholeResponse(200, "x")));
  World world(server.Url());
  Recorder recorder;
  world.Run(recorder);
  int found = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0 || peer.sin_family != AF_INET ||
        ntohs(peer.sin_port) != server.port())
      continue;
    int no_delay = 0;
    size = sizeof no_delay;
    ASSERT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    EXPECT_EQ(no_delay, 1);
    ++found;
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace moecap::net
