// Against the simulated server, whose router is known, and against scripted answers for what a sound server never does.
#include "system/openai/route_capture.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mock/engine.h"
#include "mock/router.h"
#include "mock/server.h"
#include "mock/test_model.h"
#include "routing/npy_test_writer.h"
#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::unique_ptr<mock::Server> StartMock(mock::Dialect dialect, bool routed_experts = true) {
  mock::ServerOptions options;
  options.dialect = dialect;
  options.model = mock::SmallMoe();
  options.model_name = "m";
  options.simulated.emplace();
  options.simulated->roofline = {1e12, 1e15, 1e9, 1, 1, 1, 0};
  options.routed_experts = routed_experts;
  auto server = mock::Server::Start(options);
  EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().message);
  return *std::move(server);
}

OpenAiOptions OptionsFor(const std::string& url, Api api, ServerKind kind) {
  OpenAiOptions options;
  options.http.urls = {net::ParseUrl(url).value()};
  options.profile = {api, kind, "m", ""};
  return options;
}

std::vector<load::RequestSpec> SomeRequests(bool ids, int count = 12) {
  std::vector<load::RequestSpec> requests(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    load::RequestSpec& request = requests[static_cast<size_t>(i)];
    request.id = fmt::format("p{}", i);
    if (ids) {
      for (int32_t token = 0; token < 3 + i; ++token) request.prompt_token_ids.push_back(5 + (7 * i + token) % 90);
    } else {
      request.prompt = fmt::format("one two {}", i);
    }
    request.max_output_tokens = 2 + i % 5;
    request.ignore_end_token = true;
  }
  return requests;
}

CaptureOptions WithShape() {
  CaptureOptions capture;
  capture.shape = {.layers = 2, .top_k = 2, .experts = 8};
  return capture;
}

CapturedRoutes Capture(const OpenAiOptions& options, std::span<const load::RequestSpec> requests,
                       const CaptureOptions& capture = WithShape()) {
  const SteadyClock clock;
  auto routes = CaptureRoutes(options, requests, capture, clock);
  EXPECT_TRUE(routes.ok()) << (routes.ok() ? "" : routes.error().message);
  return routes.ok() ? *std::move(routes) : CapturedRoutes();
}

// The experts of prompt and output as the simulated server's router chooses them.
void ExpectTruth(const CapturedAnswer& answer, const std::vector<int32_t>& prompt) {
  const model::ModelSpec model = mock::SmallMoe();
  const mock::SampledRouter router(model, 1);
  std::vector<int32_t> tokens = prompt;
  tokens.insert(tokens.end(), answer.token_ids.begin(), answer.token_ids.end());
  ASSERT_EQ(answer.experts.rows, static_cast<int64_t>(tokens.size()) - 1);
  ASSERT_EQ(answer.experts.layers, 2);
  std::vector<int32_t> expected(2);
  for (int64_t row = 0; row < answer.experts.rows; ++row) {
    router.Experts(0, {tokens[static_cast<size_t>(row)], row}, expected);
    EXPECT_THAT(answer.experts.Ids(row, 0), testing::ElementsAreArray(expected)) << row;
    EXPECT_FALSE(answer.experts.IsChoice(row, 1)) << "a dense layer";
  }
}

TEST(RouteCapture, BringsWhatTheRouterChose) {
  struct Case {
    mock::Dialect dialect;
    Api api;
    ServerKind kind;
  };
  for (const Case& of : {Case{mock::Dialect::kVllm, Api::kCompletions, ServerKind::kVllm},
                         Case{mock::Dialect::kSglang, Api::kCompletions, ServerKind::kSglang},
                         Case{mock::Dialect::kSglang, Api::kSglangGenerate, ServerKind::kSglang}}) {
    SCOPED_TRACE(Name(of.api));
    const auto server = StartMock(of.dialect);
    const auto requests = SomeRequests(true);
    const CapturedRoutes routes = Capture(OptionsFor(server->url(), of.api, of.kind), requests);
    ASSERT_EQ(routes.answers.size(), requests.size());
    EXPECT_EQ(routes.told, 12);
    EXPECT_THAT(routes.findings, IsEmpty());
    for (size_t i = 0; i < requests.size(); ++i) {
      const CapturedAnswer& answer = routes.answers[i];
      EXPECT_EQ(answer.missing, "");
      EXPECT_EQ(answer.prompt_tokens, static_cast<int64_t>(requests[i].prompt_token_ids.size()));
      EXPECT_EQ(answer.output_tokens, requests[i].max_output_tokens);
      EXPECT_EQ(answer.token_ids.size(), static_cast<size_t>(requests[i].max_output_tokens));
      ExpectTruth(answer, requests[i].prompt_token_ids);
    }
  }
}

TEST(RouteCapture, ChatsToo) {
  for (const auto& [dialect, kind] :
       {std::pair{mock::Dialect::kVllm, ServerKind::kVllm}, std::pair{mock::Dialect::kSglang, ServerKind::kSglang}}) {
    const auto server = StartMock(dialect);
    const CapturedRoutes routes = Capture(OptionsFor(server->url(), Api::kChat, kind), SomeRequests(false, 3));
    EXPECT_EQ(routes.told, 3);
    for (const CapturedAnswer& answer : routes.answers) {
      EXPECT_EQ(answer.token_ids.size(), static_cast<size_t>(answer.output_tokens));
      EXPECT_EQ(answer.prompt_ids.size(), static_cast<size_t>(answer.prompt_tokens));
      ExpectTruth(answer, answer.prompt_ids);
    }
  }
}

TEST(RouteCapture, AServerWithoutTheFlagIsNamed) {
  const SteadyClock clock;
  for (const auto& [dialect, kind] :
       {std::pair{mock::Dialect::kVllm, ServerKind::kVllm}, std::pair{mock::Dialect::kSglang, ServerKind::kSglang}}) {
    for (const bool on : {true, false}) {
      const auto server = StartMock(dialect, on);
      const OpenAiOptions options = OptionsFor(server->url(), Api::kCompletions, kind);
      const auto offer = TellsExperts(options, net::kPatienceNs, clock);
      ASSERT_TRUE(offer.ok()) << offer.error().message;
      EXPECT_EQ(offer->tells, on);
      if (on) continue;
      EXPECT_THAT(offer->why_not, HasSubstr("--enable-return-routed-experts"));
      const CapturedRoutes routes = Capture(options, SomeRequests(true, 2));
      EXPECT_EQ(routes.told, 0);
      EXPECT_THAT(routes.answers[0].missing, HasSubstr("--enable-return-routed-experts"));
      EXPECT_EQ(routes.answers[0].output_tokens, 2);
    }
  }
}

TEST(RouteCapture, ServersThatNeverTellAreNotAsked) {
  const SteadyClock clock;
  for (const ServerKind kind : {ServerKind::kLlamaServer, ServerKind::kTransformers, ServerKind::kFastllm}) {
    const auto offer = TellsExperts(OptionsFor("http://127.0.0.1:1", Api::kCompletions, kind), 1, clock);
    ASSERT_TRUE(offer.ok());
    EXPECT_FALSE(offer->tells);
    EXPECT_THAT(offer->why_not, HasSubstr(std::string(Name(kind))));
  }
}

TEST(RouteCapture, NobodyThere) {
  const SteadyClock clock;
  for (const ServerKind kind : {ServerKind::kVllm, ServerKind::kSglang}) {
    const OpenAiOptions options = OptionsFor("http://127.0.0.1:1", Api::kCompletions, kind);
    EXPECT_FALSE(TellsExperts(options, net::kPatienceNs, clock).ok());
  }
  const CapturedRoutes routes =
      Capture(OptionsFor("http://127.0.0.1:1", Api::kCompletions, ServerKind::kVllm), SomeRequests(true, 60));
  EXPECT_EQ(routes.told, 0);
  EXPECT_THAT(routes.answers[59].missing, HasSubstr("not sent: 20 requests had failed one after the other"));
  EXPECT_EQ(routes.answers[59].http_status, 0);
}

// A vLLM whose answers to request 0, 1, 2, ... are scripted: `experts` is the value of routed_experts as JSON.
struct Scripted {
  std::string experts;
  std::string model = "m";
  int status = 200;
};

std::string BodyOf(const Scripted& answer) {
  return fmt::format(R"({{"id":"c","model":"{}","choices":[{{"index":0,"text":"x","token_ids":[7,8],"routed_experts":{}}}],)"
                     R"("usage":{{"prompt_tokens":2,"completion_tokens":2}}}})",
                     answer.model, answer.experts);
}

CapturedRoutes CaptureScripted(const std::vector<Scripted>& script, CaptureOptions capture = {}) {
  size_t at = 0;
  const net::ScriptedServer server([&](net::ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      const Scripted& answer = script[at++];
      const std::string body = BodyOf(answer);
      connection.Send(fmt::format("HTTP/1.1 {} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
                                  answer.status, body.size(), body));
    }
  });
  capture.concurrency = 1;
  return Capture(OptionsFor(server.Url(), Api::kCompletions, ServerKind::kVllm),
                 SomeRequests(true, static_cast<int>(script.size())), capture);
}

constexpr const char* kGood = "[[[0,1],[2,3]],[[1,2],[3,0]],[[0,2],[3,1]]]";

TEST(RouteCapture, ExpertsOfSomeRequestsOnly) {
  const CapturedRoutes routes = CaptureScripted({{kGood}, {"null"}, {kGood}});
  EXPECT_EQ(routes.told, 2);
  EXPECT_THAT(routes.answers[1].token_ids, ElementsAre(7, 8));
  EXPECT_THAT(routes.answers[1].missing, HasSubstr("no routed experts"));
  EXPECT_THAT(routes.findings, ElementsAre(HasSubstr("1 of 3 answers brought no experts, the first of them because")));
}

TEST(RouteCapture, AnotherModelOnTheWay) {
  const CapturedRoutes routes = CaptureScripted({{kGood}, {kGood, "other"}, {"[[[0]],[[1]],[[2]]]"}});
  EXPECT_EQ(routes.told, 1);
  EXPECT_THAT(routes.answers[1].missing, HasSubstr("\"m\", then as \"other\""));
  EXPECT_THAT(routes.answers[2].missing, HasSubstr("another model?"));
  EXPECT_TRUE(routes.answers[1].experts.empty());
  EXPECT_THAT(routes.findings, Contains(HasSubstr("are left out")));
}

TEST(RouteCapture, IdsThatCannotBe) {
  CaptureOptions capture;
  capture.shape.experts = 4;
  const CapturedRoutes routes = CaptureScripted({{"[[[0,0],[0,0]],[[0,0],[0,0]],[[0,0],[0,0]]]"},
                                                 {"[[[0,1],[2,4]],[[1,2],[3,0]],[[0,2],[3,1]]]"},
                                                 {"[[[0,1],[2,3]],[[1,2],[3,0]]]"},
                                                 {"[[[0,1],[-1,-1]],[[1,2],[3,3]],[[0,2],[3,1]]]"},
                                                 {"\"ray-key\""}},
                                                capture);
  EXPECT_EQ(routes.told, 1);
  EXPECT_THAT(routes.answers[0].missing, HasSubstr("--moe-backend triton"));
  EXPECT_THAT(routes.answers[1].missing, HasSubstr("expert 4, but there are 4"));
  EXPECT_THAT(routes.answers[2].missing, HasSubstr("2 tokens (prompt and output, less 1), expected were 3"));
  EXPECT_EQ(routes.answers[3].missing, "");
  EXPECT_THAT(routes.answers[4].missing, HasSubstr("object-store key"));
  EXPECT_THAT(routes.findings, Contains(HasSubstr("2 times a token has no valid choice")));
}

TEST(RouteCapture, DummyWeightsRouteEveryLayerAlike) {
  std::string rows;
  for (int i = 0; i < 3; ++i) rows += fmt::format("{}[[{},5],[{},5]]", i == 0 ? "" : ",", i, i);
  const CapturedRoutes routes = CaptureScripted(std::vector<Scripted>(12, {"[" + rows + "]"}));
  EXPECT_EQ(routes.told, 12);
  EXPECT_THAT(routes.findings, ElementsAre(HasSubstr("all layers chose the same experts")));
}

TEST(RouteCapture, AnswersBeyondTheBoundAreGivenUpInWords) {
  CaptureOptions capture;
  capture.max_answer_bytes = 1000;
  const CapturedRoutes routes = CaptureScripted({{kGood}, {"\"" + std::string(5000, 'A') + "\""}, {kGood}}, capture);
  EXPECT_EQ(routes.told, 2);
  EXPECT_THAT(routes.answers[1].missing, HasSubstr("larger than 1000 bytes; ask for shorter answers"));
}

TEST(RouteCapture, WhatIsKeptIsBounded) {
  CaptureOptions capture;
  capture.max_kept_bytes = 1;
  capture.max_answer_bytes = 400;  // no more is asked for while so much waits
  const CapturedRoutes routes = CaptureScripted(std::vector<Scripted>(40, {kGood}), capture);
  EXPECT_LT(routes.told, 40);
  EXPECT_THAT(routes.answers[39].missing, HasSubstr("capture fewer or shorter requests"));
}

TEST(RouteCapture, RefusalsAreQuoted) {
  const CapturedRoutes routes = CaptureScripted({{kGood, "m", 500}, {kGood}});
  EXPECT_EQ(routes.told, 1);
  EXPECT_EQ(routes.answers[0].http_status, 500);
  EXPECT_THAT(routes.answers[0].missing, HasSubstr("answers status 500"));
}

TEST(RouteCapture, AServerThatWentAwayAndCameBack) {
  int served = 0;
  const std::string body = BodyOf({kGood});
  const std::string answer =
      fmt::format("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}", body.size(), body);
  const net::ScriptedServer server([&](net::ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      if (++served == 2) {
        connection.Send(answer.substr(0, answer.size() / 2));
        return connection.Reset();
      }
      connection.Send(answer);
    }
  });
  CaptureOptions capture;
  capture.concurrency = 1;
  const CapturedRoutes routes =
      Capture(OptionsFor(server.Url(), Api::kCompletions, ServerKind::kVllm), SomeRequests(true, 3), capture);
  EXPECT_EQ(routes.told, 2);
  EXPECT_THAT(routes.findings, Contains(HasSubstr("went away and came back")));
}

TEST(RouteCapture, StopsWhenTold) {
  const net::ScriptedServer server([](net::ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Hold();
  });
  CaptureOptions capture;
  int asked = 0;
  capture.stop = [&asked] { return ++asked > 2; };
  const SteadyClock clock;
  const auto requests = SomeRequests(true, 5);
  const auto routes = CaptureRoutes(OptionsFor(server.Url(), Api::kCompletions, ServerKind::kVllm), requests, capture, clock);
  ASSERT_FALSE(routes.ok());
  EXPECT_EQ(routes.error().kind, ErrorKind::kInterrupted);
}

}  // namespace
}  // namespace moecap::openai
