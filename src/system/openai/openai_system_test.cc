#include "system/openai/openai_system.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "net/testing/allocation_counter.h"
#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using net::ChunkOf;
using net::ScriptedConnection;
using net::ScriptedServer;
using net::StreamHead;
using testing::HasSubstr;

TEST(OpenAiSystem, RefusesWhatTheServerCannotDo) {
  const SteadyClock clock;
  OpenAiOptions options;
  options.http.urls = {net::ParseUrl("http://127.0.0.1:1").value()};
  options.profile = {Api::kChat, ServerKind::kUnknown, "", ""};
  EXPECT_THAT(OpenAiSystem::Create(options, clock).error().message, HasSubstr("model"));
  options.profile.model = "m";
  const auto system = OpenAiSystem::Create(options, clock).value();
  EXPECT_TRUE(system->Validate(Request()).ok());
  load::RequestSpec request = Request();
  request.prompt_token_ids = {1};
  EXPECT_THAT(system->Validate(request).error().message, HasSubstr("token ids"));
  request = Request();
  request.ignore_end_token = true;
  EXPECT_THAT(system->Validate(request).error().message, HasSubstr("end token"));
  request = Request();
  request.prompt.clear();
  EXPECT_THAT(system->Validate(request).error().message, HasSubstr("empty"));
}

TEST(OpenAiSystem, SendsTheKeyAndManyRequestsAtOnce) {
  std::atomic<int> keyed = 0;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      if (request.find("Authorization: Bearer sk-1\r\n") != std::string::npos) ++keyed;
      connection.Send(Stream({TextChoice(" a"), TextChoice(" b", kFinish), "[DONE]"}));
    }
  });
  auto options = Options(server, Api::kCompletions);
  options.api_key = "sk-1";
  const SteadyClock clock;
  const auto system = OpenAiSystem::Create(options, clock).value();
  ASSERT_TRUE(system->WarmUp(8, net::kPatienceNs).ok());
  const std::vector<load::RequestSpec> requests(100, Request());
  load::ClosedLoopOptions loop;
  loop.clients = 8;
  const auto result = load::RunClosedLoop(*system, requests, loop, clock);
  ASSERT_TRUE(result.ok());
  for (const auto& record : result->requests) EXPECT_EQ(record.output_tokens, 2) << record.error;
  EXPECT_EQ(keyed, 100);
  EXPECT_EQ(server.connections(), 8);
  EXPECT_EQ(system->counters().connections_opened, 8);
}

// Observes without keeping anything.
class Counting final : public load::Observer {
 public:
  void OnChunk(uint64_t, const load::Chunk& chunk) override { tokens += chunk.tokens; }
  void OnFinish(uint64_t, load::Completion) override { ++finished; }
  void OnPass(record::PassRecord, int64_t) override {}
  int64_t tokens = 0;
  int finished = 0;
};

TEST(OpenAiSystem, CancelForgetsARequest) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead() + ChunkOf("data: " + TextChoice(" a") + "\n\n"));
    connection.Hold();
  });
  const SteadyClock clock;
  const auto system = OpenAiSystem::Create(Options(server, Api::kCompletions), clock).value();
  Counting counting;
  ASSERT_TRUE(system->Submit(Request(), 1).ok());
  ASSERT_TRUE(system->Submit(Request(), 2).ok());
  while (counting.tokens < 2) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  system->Cancel(1);
  system->Cancel(77);
  system->CancelAll();
  ASSERT_TRUE(system->Advance(counting, clock.NowNs() + 20 * kMs).ok());
  EXPECT_EQ(counting.finished, 0);
}

TEST(OpenAiSystem, AllocatesNothingPerEvent) {
  constexpr int kEvents = 3000;
  std::promise<void> counted;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send(StreamHead());
    for (int i = 0; i < kEvents; ++i) {
      connection.Send(ChunkOf(
          fmt::format(
              R"(data: {{"id":"cmpl-1","choices":[{{"index":0,"text":" tok","token_ids":[{}]}}],"usage":{{"completion_tokens":{}}}}})",
              i, i + 1) +
          "\n\n"));
    }
    counted.get_future().wait();
    connection.Send(ChunkOf("data: " + TextChoice("", kFinish) + "\n\n") + ChunkOf(""));
    connection.Hold();
  });
  const SteadyClock clock;
  auto options = Options(server, Api::kCompletions);
  options.keep_text = false;
  const auto system = OpenAiSystem::Create(options, clock).value();
  Counting counting;
  ASSERT_TRUE(system->Submit(Request(), 1).ok());
  while (counting.tokens < 200) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  const int64_t before = net::AllocationsOfThisThread();
  while (counting.tokens < kEvents) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  EXPECT_EQ(net::AllocationsOfThisThread() - before, 0);
  counted.set_value();
  while (counting.finished == 0) ASSERT_TRUE(system->Advance(counting, load::kNever).ok());
  EXPECT_EQ(counting.tokens, kEvents);
}

}  // namespace
}  // namespace moecap::openai
