// What tests of the HTTP client share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "net/http_client.h"
#include "net/testing/scripted_server.h"

namespace moecap::net {

inline constexpr int64_t kMs = 1'000'000;

class Recorder : public ExchangeHandler {
 public:
  void OnHead(const ResponseHead& head) override {
    status = head.status();
    location = head.Field("location");
  }
  BodyVerdict OnBody(std::string_view bytes, const Arrival& arrival) override {
    body += bytes;
    last = arrival;
    ++pieces;
    return verdict;
  }
  void OnEnd(const ExchangeResult& end) override {
    EXPECT_FALSE(result.has_value()) << "an exchange ends once";
    result = end;
  }
  NetErrorKind error() const { return result ? result->error.kind : NetErrorKind::kNone; }
  std::string message() const { return result ? result->error.message : "not ended"; }

  int status = 0;
  int pieces = 0;
  std::string location, body;
  Arrival last;
  BodyVerdict verdict = BodyVerdict::kProgress;
  std::optional<ExchangeResult> result;
};

struct World {
  explicit World(const std::string& url, HttpClientOptions options = {}) {
    options.urls = {ParseUrl(url).value()};
    auto created = HttpClient::Create(std::move(options), clock);
    EXPECT_TRUE(created.ok()) << created.error().message;
    client = std::move(created).value();
  }
  void Run(Recorder& recorder, const PhaseLimits& limits = {.total_ns = kPatienceNs}, std::string_view body = "{}") {
    client->Start({.path = "/v1/completions", .body = body}, limits, recorder);
    while (!recorder.result) client->Poll(kNoLimit);
  }
  SteadyClock clock;
  std::unique_ptr<HttpClient> client;
};

// Answers every request on a connection with `bytes`.
inline ScriptedServer::Script Always(const std::string& bytes) {
  return [bytes](ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Send(bytes);
  };
}

}  // namespace moecap::net
