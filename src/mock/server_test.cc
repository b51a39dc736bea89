// The server over real sockets: exchanges, faults of the connection, keep-alive, stop.
#include "mock/server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "metrics/utilization.h"
#include "mock/test_client.h"
#include "mock/test_model.h"
#include "record/jsonl.h"

namespace moecap::mock {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kLastChunk = "0\r\n\r\n";

ServerOptions Timed(double ttft_s = 0.001, double tpot_s = 0.0005) {
  ServerOptions options;
  options.model = SmallMoe();
  options.model_name = "m";
  options.timed.ttft_s = {ttft_s, 0};
  options.timed.tpot_s = {tpot_s, 0};
  return options;
}

std::unique_ptr<Server> StartServer(const ServerOptions& options) {
  auto server = Server::Start(options);
  EXPECT_TRUE(server.ok()) << server.error().message;
  return std::move(server).value();
}

std::string Prompt(int tokens, const std::string& more = "") {
  return fmt::format(R"({{"prompt":[5,6,7],"max_tokens":{},"stream":true{}}})", tokens, more);
}

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class ServerFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "moecap-mock-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::filesystem::path dir_;
};

TEST(Server, StreamsOnAConnectionThatStaysOpen) {
  const auto server = StartServer(Timed());
  Client client(server->port());
  for (int round = 0; round < 3; ++round) {
    client.Post("/v1/completions", Prompt(4));
    const std::string answer = client.ReadUntil(kLastChunk);
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("data: [DONE]\n\n\r\n0\r\n\r\n")));
    EXPECT_EQ(Count(answer, "\"text\":\" "), 4);
    EXPECT_EQ(Count(answer, "\"finish_reason\":\"length\""), 1);
  }
  client.Send("GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), HasSubstr("vllm:generation_tokens_total{model_name=\"m\",engine=\"0\"} 12\n"));
}

TEST(Server, AnswersRequestsSentAtOnceInOrder) {
  const auto server = StartServer(Timed());
  Client client(server->port());
  const std::string body = R"({"prompt":[5],"max_tokens":1})";
  const std::string request = fmt::format("POST /v1/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{}", body.size(), body);
  client.Send(request + request + "GET /health HTTP/1.1\r\nconnection: close\r\n\r\n");
  const std::string answers = client.ReadAll();
  EXPECT_EQ(Count(answers, "HTTP/1.1 200 OK"), 3);
  EXPECT_EQ(Count(answers, "\"completion_tokens\":1"), 2);
  EXPECT_THAT(answers, EndsWith("content-length: 0\r\nconnection: close\r\n\r\n"));
}

TEST(Server, ErrorsOfHttp) {
  ServerOptions options = Timed();
  options.api_key = "secret";
  const auto server = StartServer(options);
  const auto answer = [&](const std::string& request) {
    Client client(server->port());
    client.Send(request);
    return client.ReadUntil("}");
  };
  const std::string key = "authorization: Bearer secret\r\n";
  EXPECT_THAT(answer("GET /v1/models HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(answer("GET /v1/models HTTP/1.1\r\nauthorization: Bearer wrong\r\n\r\n"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(answer("GET /v1/models HTTP/1.1\r\n" + key + "\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer("GET /nowhere HTTP/1.1\r\n" + key + "\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(answer("GET /v1/completions HTTP/1.1\r\n" + key + "\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  const std::string unknown = R"({"model":"x","prompt":"a"})";
  EXPECT_THAT(
      answer(fmt::format("POST /v1/completions HTTP/1.1\r\n{}content-length: {}\r\n\r\n{}", key, unknown.size(), unknown)),
      AllOf(StartsWith("HTTP/1.1 404 "), HasSubstr("`x` does not exist")));
}

TEST(Server, FaultsOfTheConnection) {
  const auto server = StartServer(Timed());
  const auto post = [&](const std::string& fault, int* error = nullptr) {
    Client client(server->port());
    client.Post("/v1/completions", Prompt(3), "x-mock-fault: " + fault + "\r\n");
    std::string answer = client.ReadAll();
    if (error != nullptr) *error = client.error;
    return answer;
  };
  int error = 0;
  EXPECT_EQ(Count(post("reset=2", &error), "\"text\":\" "), 2);
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(post("refuse", &error), "");
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(Count(post("truncate=1", &error), "\"text\":\" "), 1);
  EXPECT_EQ(error, 0);
  EXPECT_THAT(post("close-after", &error), EndsWith(kLastChunk));
  EXPECT_EQ(error, 0);
  const std::string flood = post("header-flood=1000");
  EXPECT_EQ(Count(flood, "x-flood: "), 1000);
  EXPECT_EQ(post("long-line=300000").size() - post("long-line=200000").size(), 100000u);
  EXPECT_EQ(Count(post("drip=0.00001,truncate=3"), "\"text\":\" "), 3);
  EXPECT_EQ(Count(post("split-utf8=0.001,close-after"), "\"text\":\" "), 3);
  EXPECT_THAT(post("stall-headers=0.05,close-after"), StartsWith("HTTP/1.1 200 OK"));

  Client client(server->port());
  client.Post("/v1/completions", Prompt(3), "x-mock-fault: status=429\r\n");
  EXPECT_THAT(client.ReadUntil("}"), AllOf(StartsWith("HTTP/1.1 429 Too Many Requests"), HasSubstr("retry-after: 1\r\n")));
  client.Post("/v1/completions", Prompt(3), "x-mock-fault: nonsense\r\n");
  EXPECT_THAT(client.ReadUntil("}"), AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("nonsense")));
  client.Post("/v1/completions", Prompt(3, R"(,"mock_fault":"no-done")"));
  EXPECT_THAT(client.ReadUntil(kLastChunk), testing::Not(HasSubstr("[DONE]")));
}

TEST(Server, RefusesConnections) {
  ServerOptions options = Timed();
  options.faults = {{FaultKind::kRefuse, 0, 1}};
  const auto server = StartServer(options);
  Client client(server->port());
  EXPECT_EQ(client.Read(), "");
}

TEST_F(ServerFiles, LogsTheTruth) {
  ServerOptions options = Timed(0.01, 0.002);
  options.log_file = dir_ / "log.jsonl";
  auto server = StartServer(options);
  const int64_t before = SteadyClock().NowNs();
  Client client(server->port());
  client.Post("/v1/completions", R"({"prompt":[7,8],"max_tokens":5,"stream":true,"cache_salt":"the \"first\""})");
  client.ReadUntil(kLastChunk);
  const int64_t after = SteadyClock().NowNs();
  {
    Client gone(server->port());
    gone.Post("/v1/completions", Prompt(1000000));
    gone.Read();
  }
  Client other(server->port());
  other.Post("/v1/completions", Prompt(2));
  other.ReadUntil(kLastChunk);
  server->Stop();
  server.reset();
  std::vector<Json> requests;
  for (const std::string& line : ReadLines(options.log_file).value()) {
    const Json record = ParseJson(line).value();
    if (record["record"] == "request") requests.push_back(record);
  }
  ASSERT_EQ(requests.size(), 3u);
  const Json& first = requests[0];
  EXPECT_EQ(first["outcome"], "complete");
  EXPECT_EQ(first["planned_tokens"], 5);
  EXPECT_EQ(first["cache_salt"], "the \"first\"");
  EXPECT_FALSE(requests[1].contains("cache_salt"));
  ASSERT_EQ(first["token_ns"].size(), 5u);
  ASSERT_EQ(first["due_ns"].size(), 5u);
  EXPECT_GE(first["arrival_ns"].get<int64_t>(), before);
  EXPECT_EQ(first["due_ns"][0].get<int64_t>() - first["arrival_ns"].get<int64_t>(), 10'000'000);
  EXPECT_EQ(first["due_ns"][4].get<int64_t>() - first["due_ns"][0].get<int64_t>(), 8'000'000);
  for (size_t i = 0; i < 5; ++i) EXPECT_GE(first["token_ns"][i], first["due_ns"][i]);
  EXPECT_LE(first["token_ns"][4].get<int64_t>(), after);
  std::set<std::string> outcomes;
  for (const Json& request : requests) outcomes.insert(request["outcome"].get<std::string>());
  EXPECT_THAT(outcomes, testing::ElementsAre("client-gone", "complete"));
}

// The independent way to the simulated times: what the metrics compute from the server's own file.
TEST_F(ServerFiles, PassesOfTheRooflineHaveTheConfiguredUtilisation) {
  ServerOptions options = Timed();
  options.simulated.emplace();
  options.simulated->roofline = {1e7, 1e15, 1e6, 2, 0.5, 0.9, 0};
  options.passes_file = dir_ / "passes.jsonl";
  auto server = StartServer(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(server->port()));
    clients.back()->Post("/v1/completions", fmt::format(R"({{"prompt":[5,6,{}],"max_tokens":20,"stream":true}})", 10 + i));
  }
  for (const auto& client : clients) EXPECT_EQ(Count(client->ReadUntil(kLastChunk), "\"text\":\" "), 20);
  server->Stop();
  const auto passes = record::ReadPasses(options.passes_file);
  ASSERT_TRUE(passes.ok()) << passes.error().message;
  int64_t tokens = 0;
  for (const record::PassRecord& pass : *passes) tokens += pass.NewTokens();
  EXPECT_EQ(tokens, 8 * (3 + 20 - 1));
  const metrics::Utilization use = metrics::ComputeUtilization(options.model, *passes, {1e7, 1e15, 2});
  EXPECT_NEAR(use.all.s_mbu.value(), 0.5, 1e-6);
}

TEST(Server, AStallMovesEverythingByItsLength) {
  ServerOptions options = Timed(0.02, 0.02);
  options.stall_at_s = 0.05;
  options.stall_for_s = 0.3;
  const auto server = StartServer(options);
  Client client(server->port());
  const int64_t start = SteadyClock().NowNs();
  client.Post("/v1/completions", Prompt(6));
  client.ReadUntil(kLastChunk);
  EXPECT_GE(SteadyClock().NowNs() - start, 120'000'000 + 300'000'000) << "0.12 s of tokens and the stall";
}

TEST(Server, TheNullServerAnswersEqualRequestsAlike) {
  ServerOptions options = Timed(0, 0);
  options.null_server = true;
  options.events_per_write = 4;
  const auto server = StartServer(options);
  Client client(server->port());
  std::string first;
  for (int round = 0; round < 5; ++round) {
    client.Post("/v1/completions", Prompt(1000));
    const std::string answer = client.ReadUntil(kLastChunk);
    EXPECT_EQ(Count(answer, "\"text\":\" "), 1000);
    if (round == 0) first = answer;
    EXPECT_EQ(answer, first);
  }
  client.Post("/v1/completions", Prompt(2), "x-mock-fault: no-done\r\n");
  EXPECT_THAT(client.ReadUntil(kLastChunk), testing::Not(HasSubstr("[DONE]")));
}

TEST(Server, ManyRequestsOnTwoReplicas) {
  ServerOptions options = Timed(0.002, 0.001);
  options.threads = 2;
  const auto server = StartServer(options);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>(server->port()));
    clients.back()->Post("/v1/completions", Prompt(10));
  }
  for (const auto& client : clients) EXPECT_EQ(Count(client->ReadUntil(kLastChunk), "\"text\":\" "), 10);
}

TEST(Server, ASlowReaderGetsEverything) {
  ServerOptions options = Timed(0, 0);
  const auto server = StartServer(options);
  Client client(server->port());
  client.Post("/v1/completions", Prompt(100000));
  ::usleep(200'000);  // the sockets fill up meanwhile
  EXPECT_EQ(Count(client.ReadUntil(kLastChunk), "\"text\":\" "), 100000);
}

TEST(Server, StopsWithRequestsInFlight) {
  const auto server = StartServer(Timed(100, 100));
  Client client(server->port());
  client.Post("/v1/completions", Prompt(3));
  client.Read();
  server->Stop();
  server->Stop();
}

TEST(Server, BadAddresses) {
  const auto server = StartServer(Timed());
  ServerOptions same = Timed();
  same.port = server->port();
  const auto second = Server::Start(same);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(second.error().message, AllOf(HasSubstr(std::to_string(server->port())), HasSubstr("--port")));
  ServerOptions nowhere = Timed();
  nowhere.host = "no.such.host.invalid";
  EXPECT_THAT(Server::Start(nowhere).error().message, HasSubstr("no.such.host.invalid"));
  ServerOptions log = Timed();
  log.log_file = "/no/such/folder/log";
  EXPECT_THAT(Server::Start(log).error().message, HasSubstr("/no/such/folder/log"));
}

}  // namespace
}  // namespace moecap::mock
