#include "load/load_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "load/scripted_system.h"

namespace moecap::load {
namespace {

class LoadLoopTest : public testing::Test {
 protected:
  Result<LoadResult> Open(const std::vector<int64_t>& lengths, const std::vector<double>& times_s, const LoadOptions& options) {
    specs = Requests(lengths);
    plan.clear();
    for (size_t i = 0; i < specs.size(); ++i) plan.push_back({&specs[i], times_s[i], {}});
    auto source = ScheduleSource::Create(plan);
    return RunLoad(system, *source, options, clock);
  }
  Result<LoadResult> Closed(const std::vector<int64_t>& lengths, const ClosedLoopSource::Options& clients,
                            const LoadOptions& options) {
    specs = Requests(lengths);
    SharedIndex next(specs.size());
    ClosedLoopSource source(clients, specs, next);
    return RunLoad(system, source, options, clock);
  }

  FakeClock clock;
  ScriptedSystem system{clock};
  std::vector<RequestSpec> specs;
  std::vector<PlannedRequest> plan;
};

TEST_F(LoadLoopTest, SendsNothingAfterTheDuration) {
  LoadOptions options;
  options.duration_s = 0.095;
  const auto result = Closed(std::vector<int64_t>(10, 3), {.clients = 2, .all_clients = 2}, options);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ended_by, EndedBy::kDuration);
  ASSERT_EQ(result->requests.size(), 8u) << "sent at 0, 0.03, 0.06 and 0.09, by both";
  EXPECT_TRUE(result->requests.back().ok()) << "what was sent runs to its end";
  EXPECT_DOUBLE_EQ(result->requests.back().token_s.back(), 0.12);
  EXPECT_FALSE(result->interrupted);
}

TEST_F(LoadLoopTest, CountsWhatWasDueAndNotSent) {
  LoadOptions options;
  options.duration_s = 0.1;
  options.most_in_flight = 1;
  const auto result = Open({20, 1, 1, 1}, {0, 0.02, 0.05, 0.5}, options);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->requests.size(), 3u) << "the fourth was not due within the duration";
  EXPECT_EQ(result->requests[1].error_kind, record::RequestError::kNotIssued);
  EXPECT_EQ(result->requests[2].error_kind, record::RequestError::kNotIssued);
  EXPECT_DOUBLE_EQ(result->requests[2].intended_send_s, 0.05);
  EXPECT_TRUE(result->requests[0].ok());
}

TEST_F(LoadLoopTest, DrainsAfterTheDuration) {
  LoadOptions options;
  options.duration_s = 0.1;
  options.drain_s = 0.05;
  const auto result = Closed({5, 1000, 1}, {}, options);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->requests.size(), 2u);
  EXPECT_TRUE(result->requests[0].ok());
  EXPECT_EQ(result->requests[1].error_kind, record::RequestError::kTotalTimeout);
  EXPECT_EQ(result->requests[1].output_tokens, 10) << "from 0.05 to 0.15 s";
}

TEST_F(LoadLoopTest, ADrainWaitsForTheLastRequestOfAClosedLoop) {
  LoadOptions options;
  options.drain_s = 0.05;
  const auto result = Closed({10, 3}, {}, options);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->requests[0].ok()) << "0.1 s are longer than the drain, but the last request was not sent yet";
  EXPECT_TRUE(result->requests[1].ok());
}

// Another thread sent the last request: this one's drain begins when it sees that nothing is left.
TEST_F(LoadLoopTest, DrainsWhenAnotherThreadTookTheLastRequest) {
  specs = Requests({1000, 1});
  SharedIndex next(specs.size());
  ClosedLoopSource source({}, specs, next);
  LoadOptions options;
  options.drain_s = 0.05;
  options.stop_requested = [&] {
    if (system.steps == 2) static_cast<void>(next.Take());
    return false;
  };
  const auto result = RunLoad(system, source, options, clock);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->requests.size(), 1u);
  EXPECT_EQ(result->requests[0].error_kind, record::RequestError::kTotalTimeout);
  EXPECT_EQ(result->requests[0].output_tokens, 7) << "two steps, then 50 ms";
}

// Takes requests and never answers.
class SilentSystem final : public SystemUnderTest {
 public:
  explicit SilentSystem(FakeClock& clock) : clock_(clock) {}
  Status Validate(const RequestSpec&) override { return {}; }
  Status Submit(const RequestSpec&, uint64_t) override { return {}; }
  Status Advance(Observer&, int64_t until_ns) override {
    clock_.AdvanceNs(std::max<int64_t>(1, std::min<int64_t>(100'000'000, until_ns - clock_.NowNs())));
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override {}

 private:
  FakeClock& clock_;
};

TEST_F(LoadLoopTest, SaysWhatItWaitsFor) {
  SilentSystem silent(clock);
  specs = Requests({1, 1});
  SharedIndex next(specs.size());
  ClosedLoopSource source({.clients = 2, .all_clients = 2}, specs, next);
  std::vector<LoadProgress> still;
  LoadOptions options;
  options.duration_s = 0.1;
  options.drain_s = 8;
  options.on_progress = [&](const LoadProgress& progress) {
    if (progress.waiting_for > 0) still.push_back(progress);
  };
  ASSERT_TRUE(RunLoad(silent, source, options, clock).ok());
  ASSERT_GE(still.size(), 2u) << "again and again";
  EXPECT_EQ(still[0].waiting_for, 2);
  EXPECT_GE(still[0].waiting_s, kStillS);
  EXPECT_LT(still[0].waiting_s, kStillS + 1.5);
}

TEST_F(LoadLoopTest, ClientsStartOneAfterAnother) {
  const auto result = Closed({50, 50, 1}, {.clients = 2, .ramp_s = 0.2, .all_clients = 2}, {});
  ASSERT_TRUE(result.ok());
  EXPECT_DOUBLE_EQ(result->requests[0].send_s, 0);
  EXPECT_DOUBLE_EQ(result->requests[1].send_s, 0.1);
}

// Fails every request.
class FailingSystem final : public SystemUnderTest {
 public:
  explicit FailingSystem(FakeClock& clock) : clock_(clock) {}
  Status Validate(const RequestSpec&) override { return {}; }
  Status Submit(const RequestSpec&, uint64_t ticket) override {
    tickets_.push_back(ticket);
    return {};
  }
  Status Advance(Observer& observer, int64_t) override {
    clock_.AdvanceNs(1'000'000);
    for (const uint64_t ticket : std::exchange(tickets_, {})) {
      Completion completion;
      completion.finish = record::FinishReason::kError;
      completion.error_kind = record::RequestError::kHttp5xx;
      completion.error = "HTTP 503";
      observer.OnFinish(ticket, completion);
    }
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override {}

 private:
  FakeClock& clock_;
  std::vector<uint64_t> tickets_;
};

TEST_F(LoadLoopTest, EndsWhenTooManyFail) {
  FailingSystem failing(clock);
  specs = Requests(std::vector<int64_t>(1000, 1));
  SharedIndex next(specs.size());
  ClosedLoopSource source({}, specs, next);
  LoadOptions options;
  options.most_error_share = 0.5;
  const auto result = RunLoad(failing, source, options, clock);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->ended_by, EndedBy::kErrorShare);
  EXPECT_EQ(result->requests.size(), 20u) << "judged from twenty requests on";
}

// Threads share clients and requests: every request is sent once, by a client of its thread.
TEST(LoadOnThreads, SendsEveryRequestOnce) {
  constexpr int kThreads = 3, kRequests = 300;
  std::vector<FakeClock> clocks(kThreads);
  std::vector<ScriptedSystem> systems;
  for (FakeClock& clock : clocks) systems.emplace_back(clock);
  const std::vector<RequestSpec> specs = Requests(std::vector<int64_t>(kRequests, 3));
  SharedIndex next(specs.size());
  std::vector<ClosedLoopSource> sources;
  for (int i = 0; i < kThreads; ++i)
    sources.emplace_back(ClosedLoopSource::Options{.first_client = 2 * i, .clients = 2, .all_clients = 6}, specs, next);
  std::vector<LoadShard> shards;
  for (size_t i = 0; i < kThreads; ++i) shards.push_back({&systems[i], &sources[i], nullptr});
  LoadOptions options;
  options.origin_ns = 0;
  const SteadyClock clock;
  const auto result = RunLoadOnThreads(shards, options, clock);
  ASSERT_TRUE(result.ok());
  std::multiset<std::string> ids;
  for (const auto& request : result->requests) {
    EXPECT_TRUE(request.ok());
    EXPECT_LT(request.client, 6);
    ids.insert(request.id);
  }
  EXPECT_EQ(ids.size(), static_cast<size_t>(kRequests));
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), static_cast<size_t>(kRequests));
  EXPECT_TRUE(std::ranges::is_sorted(result->requests, {}, &record::RequestRecord::send_s));
}

TEST(LoadOnThreads, StopsAllWhenOneFails) {
  class Broken final : public SystemUnderTest {
   public:
    Status Validate(const RequestSpec&) override { return {}; }
    Status Submit(const RequestSpec&, uint64_t) override { return Failed("the loop broke"); }
    Status Advance(Observer&, int64_t) override { return {}; }
    void Cancel(uint64_t) override {}
    void CancelAll() override {}
  };
  FakeClock fake;
  ScriptedSystem endless(fake);
  Broken broken;
  const std::vector<RequestSpec> specs = Requests({1'000'000'000, 1'000'000'000});
  SharedIndex next(specs.size());
  ClosedLoopSource first({}, specs, next), second({.first_client = 1}, specs, next);
  const std::vector<LoadShard> shards = {{&endless, &first, nullptr}, {&broken, &second, nullptr}};
  const auto result = RunLoadOnThreads(shards, {}, SteadyClock());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "the loop broke");
}

}  // namespace
}  // namespace moecap::load
