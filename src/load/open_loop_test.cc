#include "load/open_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/scripted_system.h"

namespace moecap::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class OpenLoopTest : public testing::Test {
 protected:
  // Requests of `lengths` tokens at `times_s`.
  Result<LoadResult> Run(const std::vector<int64_t>& lengths, const std::vector<double>& times_s,
                         const OpenLoopOptions& options = {}) {
    specs = Requests(lengths);
    plan.clear();
    for (size_t i = 0; i < specs.size(); ++i) plan.push_back({&specs[i], times_s[i], cancel_after_s});
    return RunOpenLoop(system, plan, options, clock);
  }

  FakeClock clock;
  ScriptedSystem system{clock};
  std::vector<RequestSpec> specs;
  std::vector<PlannedRequest> plan;
  std::optional<double> cancel_after_s;
};

TEST_F(OpenLoopTest, SendsAtTheTimesWhateverTheServerDoes) {
  const auto result = Run({100, 1, 1, 1}, {0, 0.1, 0.1, 0.255});
  ASSERT_TRUE(result.ok());
  for (const auto& [index, at_s] : {std::pair{0, 0.0}, {1, 0.1}, {2, 0.1}, {3, 0.255}}) {
    EXPECT_DOUBLE_EQ(result->requests[index].intended_send_s, at_s);
    EXPECT_DOUBLE_EQ(result->requests[index].send_s, at_s);
  }
  EXPECT_DOUBLE_EQ(result->requests[3].token_s.front(), 0.26) << "at the end of the step in which it came";
  EXPECT_DOUBLE_EQ(result->requests[0].token_s.back(), 1.0);
  EXPECT_EQ(system.most_in_flight, 3u);
  EXPECT_EQ(result->held_back, 0);
}

TEST_F(OpenLoopTest, CountsTheWaitWhenALimitHoldsRequestsBack) {
  const auto result = Run({10, 1, 1}, {0, 0.02, 0.5}, {.most_in_flight = 1});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->held_back, 1);
  EXPECT_DOUBLE_EQ(result->requests[1].intended_send_s, 0.02);
  EXPECT_DOUBLE_EQ(result->requests[1].send_s, 0.1) << "the user waited 80 ms in front of the client";
  EXPECT_DOUBLE_EQ(result->requests[2].send_s, 0.5);
  EXPECT_EQ(system.most_in_flight, 1u);
}

TEST_F(OpenLoopTest, CancelsAsPlanned) {
  cancel_after_s = 0.035;
  const auto result = Run({2, 10}, {0, 0});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->requests[0].finish, record::FinishReason::kStop);
  EXPECT_EQ(result->requests[1].finish, record::FinishReason::kCancelled);
  EXPECT_EQ(result->requests[1].error_kind, record::RequestError::kCancelledByClient);
  EXPECT_EQ(result->requests[1].output_tokens, 3);
  EXPECT_THAT(system.cancelled, ElementsAre(1));
}

// The request that a user gives up as the last of all is told of like every other.
TEST_F(OpenLoopTest, NotesTheEndOfWhatIsCancelledLast) {
  cancel_after_s = 0.035;
  LoadCounters counters;
  std::vector<int64_t> ended;
  OpenLoopOptions options;
  options.counters = &counters;
  options.on_progress = [&](const LoadProgress& progress) { ended.push_back(progress.ended); };
  const auto result = Run({2, 10}, {0, 0}, options);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->requests[1].error_kind, record::RequestError::kCancelledByClient);
  EXPECT_EQ(counters.ended, 2);
  EXPECT_EQ(counters.failed, 0) << "as planned";
  EXPECT_THAT(ended, ElementsAre(1, 2));
}

TEST_F(OpenLoopTest, EndsTheDrain) {
  const auto result = Run({1, 1000, 1}, {0, 0.1, 0.2}, {.drain_s = 0.5});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->requests[1].error_kind, record::RequestError::kTotalTimeout);
  EXPECT_EQ(result->requests[1].output_tokens, 60) << "from 0.1 to 0.7 s";
  EXPECT_TRUE(result->requests[2].ok());
  EXPECT_FALSE(result->interrupted);
}

TEST_F(OpenLoopTest, KeepsTheSharedOrigin) {
  clock.AdvanceNs(3'000'000'000);
  const auto result = Run({1}, {0.25}, {.origin_ns = 3'500'000'000});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(clock.NowNs(), 3'760'000'000);
  EXPECT_DOUBLE_EQ(result->requests[0].send_s, 0.25);
}

TEST_F(OpenLoopTest, StopsWhenAsked) {
  OpenLoopOptions options;
  options.stop_requested = [&] { return clock.NowNs() >= 150'000'000; };
  const auto result = Run({100, 100, 1}, {0, 0.1, 10}, options);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->interrupted);
  ASSERT_EQ(result->requests.size(), 2u) << "the third was never sent";
  EXPECT_EQ(result->requests[0].finish, record::FinishReason::kCancelled);
}

TEST_F(OpenLoopTest, RefusesADisorderedPlanAndWhatTheSystemRefuses) {
  EXPECT_THAT(Run({1, 1}, {1, 0}).error().message, HasSubstr("ascend"));
  specs = Requests({1});
  specs[0].prompt = "too long";
  plan = {{&specs[0], 0, {}}};
  EXPECT_THAT(RunOpenLoop(system, plan, {}, clock).error().message, HasSubstr("too long"));
}

}  // namespace
}  // namespace moecap::load
