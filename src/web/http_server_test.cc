// The server by raw requests: limits, pipelines, and what is no HTTP.
#include "web/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <memory>
#include <optional>
#include <stdexcept>

#include "web/testing/raw_client.h"

namespace moecap::web {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// So many events, one a look, with a look between two that brings nothing; then a bug if the number is odd.
class Count final : public EventStream {
 public:
  explicit Count(int most) : most_(most) {}
  std::optional<std::string> Next() override {
    if (++looks_ % 2 == 0) return "";
    if (looks_ / 2 < most_) return EventText("count", std::to_string(looks_ / 2));
    if (most_ % 2 == 1) throw std::logic_error("a bug");
    return std::nullopt;
  }

 private:
  int most_, looks_ = 0;
};

// Says what it got; refuses "/refused", lets bodies in below "/body" alone.
class Echo : public Service {
 public:
  Admission Admit(const Head& head) const override {
    if (head.target == "/refused") return {Response{403, kTextType, "no\n", {{"X-Why", "test"}}}, 0};
    if (head.target == "/bug-in-the-guard") throw std::logic_error("a bug");
    return {std::nullopt, head.target.starts_with("/body") ? uint64_t{100} : uint64_t{0}};
  }
  Response Answer(const Request& request) override {
    if (request.head.target == "/bug") throw std::out_of_range("another bug");
    if (request.head.target.starts_with("/events/"))
      return {200, kEventType, "", {{"X-Echo", "yes"}}, std::make_shared<Count>(std::stoi(request.head.target.substr(8)))};
    return {200, kTextType, request.head.method + " " + request.head.target + " [" + request.body + "]", {{"X-Echo", "yes"}}};
  }
};

struct World {
  World() { server = HttpServer::Start({.port = 0, .most_head_bytes = 4096}, echo).value(); }
  std::string Say(const std::string& request) const { return RawExchange(server->port(), request); }
  Echo echo;
  std::unique_ptr<HttpServer> server;
};

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  const World world;
  EXPECT_EQ(world.server->url(), "http://127.0.0.1:" + std::to_string(world.server->port()));
  const std::string said =
      world.Say("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(said, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(said, testing::AllOf(HasSubstr("X-Echo: yes\r\n"), HasSubstr("Content-Length: 11\r\n"), HasSubstr("GET /a?b []"),
                                   HasSubstr("GET /second []")));
}

TEST(HttpServer, HeadHasTheLengthAndNoBody) {
  const World world;
  const std::string said = world.Say("HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(said, HasSubstr("Content-Length: 10\r\n"));
  EXPECT_TRUE(said.ends_with("\r\n\r\n")) << said;
}

TEST(HttpServer, BodiesWithinTheirLimit) {
  const World world;
  EXPECT_THAT(world.Say("PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"),
              HasSubstr("[abc]"));
  EXPECT_THAT(world.Say("PUT /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: "
                        "close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
              HasSubstr("[abc]"));
  const std::string expects =
      world.Say("PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nabc");
  EXPECT_THAT(expects, StartsWith("HTTP/1.1 100 Continue\r\n"));
  EXPECT_THAT(expects, HasSubstr("[abc]"));
}

TEST(HttpServer, BodiesBeyondTheirLimitAreNotRead) {
  const World world;
  for (const char* head :
       {"/body HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n", "/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
        "/body HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n"})
    EXPECT_THAT(world.Say(std::string("PUT ") + head), StartsWith("HTTP/1.1 413 ")) << head;
  EXPECT_THAT(world.Say("PUT /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') +
                        "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServer, RefusalsComeBeforeTheBody) {
  const World world;
  const std::string said = world.Say("PUT /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_THAT(said, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(said, testing::AllOf(HasSubstr("X-Why: test"), HasSubstr("Connection: close")));
}

TEST(HttpServer, HeadsBeyondTheirLimit) {
  const World world;
  EXPECT_THAT(world.Say("GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(world.Say("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(5000, 'a') + "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServer, WhatIsNoRequest) {
  const World world;
  for (const char* bad : {"\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET / HTTP/9\r\n\r\n",
                          "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                          "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"})
    EXPECT_THAT(world.Say(bad), StartsWith("HTTP/1.1 400 ")) << bad;
  EXPECT_EQ(world.Say(""), "") << "a connection that says nothing";
}

TEST(HttpServer, ClientsThatSayNothingFurtherAreLetGo) {
  Echo echo;
  const auto server = HttpServer::Start({.port = 0, .idle_s = 1}, echo).value();
  std::vector<std::unique_ptr<RawConnection>> slow;
  for (const char* part : {"", "GET / HT", "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"}) {
    slow.push_back(std::make_unique<RawConnection>(server->port()));
    slow.back()->Send(part);
  }
  for (const auto& connection : slow) EXPECT_EQ(connection->ReadAll(), "");
}

TEST(HttpServer, ConnectionsBeyondTheirLimitAreClosed) {
  Echo echo;
  const auto server = HttpServer::Start({.port = 0, .most_connections = 1}, echo).value();
  {
    const RawConnection first(server->port());
    first.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(first.ReadUntil("[]"), HasSubstr("200 OK"));
    const RawConnection second(server->port());
    EXPECT_EQ(second.ReadAll(), "");
  }
  // The place of the first is free again as soon as the server has seen it go.
  while (RawExchange(server->port(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").empty()) {
  }
}

TEST(HttpServer, AServiceThatThrowsEndsNoServer) {
  const World world;
  EXPECT_THAT(world.Say("GET /bug-in-the-guard HTTP/1.1\r\nHost: x\r\n\r\n"),
              testing::AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("this answer failed")));
  EXPECT_THAT(world.Say("GET /bug HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              testing::AllOf(StartsWith("HTTP/1.1 500 "), HasSubstr("this answer failed"), HasSubstr("GET /next []")));
}

TEST(HttpServer, EventsComeAsTheyHappen) {
  Echo echo;
  const auto server = HttpServer::Start({.port = 0, .most_event_streams = 1, .event_period_ms = 1}, echo).value();
  const auto follow = [&](const char* target) { return RawExchangeOpen(server->port(), target); };
  for (const char* target : {"/events/2", "/events/3"}) {
    const std::string said = follow(target);
    EXPECT_THAT(said, testing::AllOf(StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"),
                                     HasSubstr("X-Echo: yes\r\n"), Not(HasSubstr("Content-Length"))));
    EXPECT_THAT(said, HasSubstr("\r\n\r\nevent: count\ndata: 0\n\n:\n\nevent: count\ndata: 1\n\n"));
  }
  const RawConnection endless(server->port());
  endless.Send("GET /events/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  endless.ReadUntil("data: 3");
  EXPECT_THAT(follow("/events/2"), StartsWith("HTTP/1.1 503 ")) << "one stream is all";
  EXPECT_THAT(follow("/a"), StartsWith("HTTP/1.1 200 ")) << "which keeps no other answer";
  endless.EndSending();
  endless.ReadAll();
  // Its place is free again as soon as the server has let it go.
  while (follow("/events/2").starts_with("HTTP/1.1 503 ")) {
  }
}

// A server without a free file descriptor, with one connection that it has and one that waits for it.
class FullServer {
 public:
  explicit FullServer(int accept_pause_ms)
      : server_(HttpServer::Start({.port = 0, .accept_pause_ms = accept_pause_ms}, echo_).value()), client_(server_->port()) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &limit_), 0);
    EXPECT_THAT(Say("/first"), HasSubstr("/first"));
    waits_.emplace(server_->port(), [&] {
      const rlimit none{3, limit_.rlim_max};
      EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    });
    waits_->Send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  ~FullServer() { MakeRoom(); }
  void MakeRoom() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit_), 0); }
  // Through the connection that it has.
  std::string Say(const std::string& target) const {
    client_.Send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return client_.ReadUntil("[]");
  }
  const RawConnection& waits() const { return *waits_; }

 private:
  rlimit limit_{};
  Echo echo_;
  std::unique_ptr<HttpServer> server_;
  const RawConnection client_;
  std::optional<RawConnection> waits_;
};

TEST(HttpServer, LetsInWhoWaitsAsSoonAsThereIsAFileDescriptor) {
  FullServer full(1);
  EXPECT_THAT(full.Say("/second"), HasSubstr("/second")) << "those who are in are served";
  full.MakeRoom();
  EXPECT_THAT(full.waits().ReadUntil("[]"), HasSubstr("/waits"));
}

// While it pauses it does not try again, which a server that accepts at once would do with each of these requests.
TEST(HttpServer, PausesWithoutAFreeFileDescriptor) {
  constexpr int kForEver = 1'000'000'000;
  FullServer full(kForEver);
  EXPECT_THAT(full.Say("/second"), HasSubstr("/second")) << "by now it has tried to accept";
  full.MakeRoom();
  for (int i = 0; i < 200; ++i) EXPECT_THAT(full.Say("/again"), HasSubstr("/again"));
  EXPECT_FALSE(full.waits().HasArrived());
}

TEST(HttpServer, AddressesThatCannotBeListenedOn) {
  Echo echo;
  const World world;
  const auto taken = HttpServer::Start({.port = world.server->port()}, echo);
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message, HasSubstr("--listen"));
  EXPECT_FALSE(HttpServer::Start({.address = "nowhere", .port = 0}, echo).ok());
}

TEST(HttpServer, WhereToListen) {
  const auto at = [](const std::string& text) {
    const auto options = ListenAt(text);
    return options.ok() ? options->address + " " + std::to_string(options->port) : options.error().message;
  };
  EXPECT_EQ(at("7070"), "127.0.0.1 7070");
  EXPECT_EQ(at(":0"), "127.0.0.1 0");
  EXPECT_EQ(at("localhost:80"), "127.0.0.1 80");
  EXPECT_EQ(at("0.0.0.0:80"), "0.0.0.0 80");
  EXPECT_EQ(at("[::1]:80"), "::1 80");
  for (const char* none : {"", "x", "65536", "-1", "127.0.0.1:", "127.0.0.1:80x"})
    EXPECT_THAT(at(none), HasSubstr("no address to listen at")) << none;
}

}  // namespace
}  // namespace moecap::web
