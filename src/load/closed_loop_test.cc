#include "load/closed_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "load/scripted_system.h"

namespace moecap::load {
namespace {

TEST(ClosedLoop, KeepsExactlyTheClientsInFlightAndStampsEveryToken) {
  FakeClock clock;
  ScriptedSystem system(clock);
  ClosedLoopOptions options;
  options.clients = 2;
  options.cell = {"S", 2, 0};
  const auto result = RunClosedLoop(system, Requests({3, 1, 2}), options, clock);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(system.most_in_flight, 2u);
  EXPECT_EQ(system.steps, 3);
  ASSERT_EQ(result->requests.size(), 3u);
  EXPECT_THAT(result->requests[0].token_s,
              testing::ElementsAre(testing::DoubleEq(0.01), testing::DoubleEq(0.02), testing::DoubleEq(0.03)));
  // The third request starts when the second ends, sent by the same client.
  EXPECT_DOUBLE_EQ(result->requests[2].send_s, 0.01);
  EXPECT_EQ(result->requests[2].client, 1);
  EXPECT_EQ(result->requests[2].output_tokens, 2);
  EXPECT_EQ(result->requests[2].cell.system, "S");
  ASSERT_EQ(result->passes.size(), 3u);
  EXPECT_EQ(result->passes[2].pass, 2);
  EXPECT_DOUBLE_EQ(result->passes[2].start_s, 0.02);
  EXPECT_FALSE(result->interrupted);
}

TEST(ClosedLoop, AnInterruptKeepsWhatFinishedAndMarksTheRest) {
  FakeClock clock;
  ScriptedSystem system(clock);
  ClosedLoopOptions options;
  options.clients = 1;
  int64_t done = 0;
  options.on_progress = [&](const LoadProgress& progress) { done = progress.ended; };
  options.stop_requested = [&] { return done == 1 && system.steps >= 3; };
  const auto result = RunClosedLoop(system, Requests({1, 5, 5}), options, clock);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->interrupted);
  ASSERT_EQ(result->requests.size(), 2u) << "the third was never sent";
  EXPECT_EQ(result->requests[0].finish, record::FinishReason::kStop);
  EXPECT_EQ(result->requests[1].finish, record::FinishReason::kCancelled);
  EXPECT_EQ(result->requests[1].output_tokens, 2);
}

// One answer in two chunks whose tokens only the final usage counts.
class UsageSystem final : public SystemUnderTest {
 public:
  Status Validate(const RequestSpec&) override { return {}; }
  Status Submit(const RequestSpec&, uint64_t) override { return {}; }
  Status Advance(Observer& observer, int64_t) override {
    observer.OnChunk(0, {.arrival_ns = 1'000'000'000, .reasoning = true});
    observer.OnChunk(0, {.arrival_ns = 2'000'000'000});
    Completion completion;
    completion.tokens_source = record::TokensSource::kFinalUsage;
    completion.output_tokens = 5;
    completion.reasoning_tokens = 2;
    completion.timings = {.connect_start_ns = 100'000'000, .connected_ns = 150'000'000, .sent_ns = 200'000'000};
    observer.OnFinish(0, completion);
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override {}
};

TEST(ClosedLoop, SpreadsATotalOverItsChunks) {
  FakeClock clock;
  UsageSystem system;
  const auto result = RunClosedLoop(system, Requests({5}), {}, clock);
  ASSERT_TRUE(result.ok());
  const record::RequestRecord& request = result->requests[0];
  EXPECT_THAT(request.token_s, testing::ElementsAre(1, 1, 2, 2, 2));
  EXPECT_THAT(request.chunk_tokens, testing::ElementsAre(2, 3));
  EXPECT_EQ(request.output_tokens, 5);
  EXPECT_EQ(request.reasoning_tokens, 2);
  EXPECT_EQ(request.first_answer_s, 2);
  EXPECT_DOUBLE_EQ(*request.connect_s, 0.05);
  EXPECT_DOUBLE_EQ(*request.sent_s, 0.2);
  EXPECT_FALSE(request.headers_s.has_value());
  EXPECT_EQ(request.timing_gap, record::TimingGap::kNone) << "one chunk of reasoning, one of the answer: nothing to guess";
}

TEST(ClosedLoop, RefusesBeforeAnythingIsSent) {
  FakeClock clock;
  ScriptedSystem system(clock);
  ClosedLoopOptions options;
  std::vector<RequestSpec> requests = Requests({1, 1});
  requests[1].prompt = "too long";
  EXPECT_FALSE(RunClosedLoop(system, requests, options, clock).ok());
  EXPECT_EQ(system.steps, 0);
  options.clients = 0;
  EXPECT_THAT(RunClosedLoop(system, Requests({1}), options, clock).error().message, testing::HasSubstr("concurrency 0"));
}

}  // namespace
}  // namespace moecap::load
