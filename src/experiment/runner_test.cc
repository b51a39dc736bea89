// The whole of a load test against a system in memory: what is sent, stored, resumed and found.
#include "loadtest/load_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <set>

#include "base/fs.h"
#include "loadtest/plan.h"
#include "loadtest/summarize.h"

namespace moecap::loadtest {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// Answers each request after a queueing delay that grows with what is in flight, in fake time.
class QueueSystem final : public load::SystemUnderTest {
 public:
  QueueSystem(FakeClock& clock, std::vector<load::RequestSpec>& seen) : clock_(clock), seen_(seen) {}
  Status Validate(const load::RequestSpec&) override { return {}; }
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override {
    seen_.push_back(request);
    const int64_t start_ns = std::max(clock_.NowNs(), busy_until_ns_);
    busy_until_ns_ = start_ns + kServiceNs;
    waiting_.push_back({ticket, busy_until_ns_, request.max_output_tokens, std::ssize(request.prompt_token_ids)});
    return {};
  }
  Status Advance(load::Observer& observer, int64_t until_ns) override {
    const int64_t next_ns = waiting_.empty() ? until_ns : std::min(until_ns, waiting_.front().end_ns);
    clock_.AdvanceNs(std::max<int64_t>(0, next_ns - clock_.NowNs()));
    while (!waiting_.empty() && waiting_.front().end_ns <= clock_.NowNs()) {
      const Waiting done = waiting_.front();
      waiting_.pop_front();
      for (int64_t token = 0; token < done.tokens; ++token) observer.OnChunk(done.ticket, {.arrival_ns = clock_.NowNs()});
      load::Completion completion;
      completion.finish = record::FinishReason::kLength;
      completion.input_tokens = done.input_tokens;
      observer.OnFinish(done.ticket, std::move(completion));
    }
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override { waiting_.clear(); }

  static constexpr int64_t kServiceNs = 10'000'000;  // 100 requests/s

 private:
  struct Waiting {
    uint64_t ticket;
    int64_t end_ns, tokens, input_tokens;
  };
  FakeClock& clock_;
  std::vector<load::RequestSpec>& seen_;
  std::deque<Waiting> waiting_;
  int64_t busy_until_ns_ = 0;
};

class FakeTarget final : public Target {
 public:
  explicit FakeTarget(FakeClock& clock) : clock_(clock) {}
  const TargetDescription& description() const override { return description_; }
  Result<std::unique_ptr<load::SystemUnderTest>> Open(int, bool) override {
    return std::unique_ptr<load::SystemUnderTest>(new QueueSystem(clock_, seen));
  }
  bool TakesTokenIds() const override { return takes_ids; }
  bool TakesMessages() const override { return false; }
  bool CanIgnoreEndToken() const override { return true; }
  bool CanTokenize() const override { return false; }
  Result<int64_t> CountTokens(const std::string&) override { return Failed("no tokenizer"); }
  Status FlushPrefixCache() override {
    ++flushes;
    return {};
  }
  Result<double> MeasureHeadRoom(int streams, int) override {
    head_room_streams = streams;
    return 1e6;
  }

  bool takes_ids = true;
  int flushes = 0, head_room_streams = 0;
  std::vector<load::RequestSpec> seen;

 private:
  FakeClock& clock_;
  TargetDescription description_{"fake 1.0", "http://h", "completions", "m"};
};

class LoadTestTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / ("load_test_" + std::to_string(::getpid()));
    fs::remove_all(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  LoadResults Create(const std::string& text) {
    auto config = ParseLoadTestConfig("server: {url: http://h}\n" + text, "load.yaml", dir_);
    EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message);
    LoadManifest manifest;
    manifest.run_id = "run";
    manifest.config = *std::move(config);
    manifest.target = target.description();
    EXPECT_TRUE(Describe(manifest, target).ok());
    return LoadResults::Create(dir_, std::move(manifest)).value();
  }

  fs::path dir_;
  FakeClock clock;
  FakeTarget target{clock};
  LoadTestHooks hooks;
};

TEST_F(LoadTestTest, MeasuresEveryLevelAndFindsItAgainInTheFiles) {
  LoadResults results = Create(
      "workload: {input_tokens: 16, output_tokens: 4, requests: 50}\nload: {clients: [1, 4]}\nrepeats: 2\n"
      "warmup_requests: 3\nflush_cache: true\n");
  ASSERT_TRUE(Execute(results, target, hooks, clock).ok());
  EXPECT_EQ(target.flushes, 4);
  EXPECT_EQ(target.head_room_streams, 4);
  EXPECT_EQ(target.seen.size(), 4u * 53);
  const auto opened = LoadResults::Open(results.dir());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const auto summary = Summarize(*opened);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_TRUE(summary->complete);
  ASSERT_EQ(summary->cells.size(), 4u);
  EXPECT_EQ(summary->cells[1].label, "4 clients");
  EXPECT_EQ(summary->cells[1].whole.completed, 50);
  EXPECT_NEAR(summary->cells[1].concurrency.mean, 4, 0.3);
  for (const metrics::LoadCell& cell : summary->cells) {
    EXPECT_NEAR(cell.whole.completed_per_s, 100, 1) << "what the system can do, whatever the concurrency";
    for (const metrics::Gate& gate : cell.gates) EXPECT_NE(gate.state, metrics::Gate::State::kTripped) << gate.name;
  }
}

// No prompt of one measurement, warm-up included, is one of another: nothing can be answered from a cache.
TEST_F(LoadTestTest, NeverSendsAPromptTwice) {
  LoadResults results =
      Create("workload: {input_tokens: 16, output_tokens: 1, requests: 40}\nload: {clients: 2}\nrepeats: 3\n");
  ASSERT_TRUE(Execute(results, target, hooks, clock).ok());
  std::set<std::vector<int32_t>> prompts;
  std::set<std::string> salts;
  for (const load::RequestSpec& spec : target.seen) {
    prompts.insert(spec.prompt_token_ids);
    salts.insert(spec.cache_salt);
  }
  EXPECT_EQ(prompts.size(), target.seen.size());
  EXPECT_EQ(salts.size(), target.seen.size());
}

TEST_F(LoadTestTest, KeepsTheScheduleItStores) {
  LoadResults results =
      Create("workload: {input_tokens: 8, output_tokens: 1}\nload: {rates_per_s: 40, cancel_share: 0}\nduration_s: 5\n");
  ASSERT_TRUE(Execute(results, target, hooks, clock).ok());
  const Measurement& measurement = results.manifest().measurements.at(0);
  EXPECT_EQ(measurement.name, "rate-40-0");
  const auto plan = results.ReadPlan(measurement.name);
  const auto records = results.ReadRecords(measurement);
  ASSERT_TRUE(plan.ok() && records.ok());
  ASSERT_GT(records->requests.size(), 150u);
  ASSERT_LE(records->requests.size(), plan->size());
  EXPECT_GT(*plan->at(records->requests.size()).at_s, 5) << "the plan goes on where the duration ends";
  for (size_t i = 0; i < records->requests.size(); ++i) {
    EXPECT_EQ(records->requests[i].id, plan->at(i).id);
    EXPECT_NEAR(records->requests[i].intended_send_s, *plan->at(i).at_s, 1e-9);
  }
}

TEST_F(LoadTestTest, AnInterruptKeepsWhatWasMeasuredAndAResumeFinishes) {
  LoadResults results =
      Create("workload: {input_tokens: 8, output_tokens: 1, requests: 30}\nload: {clients: [1, 2, 3]}\nwarmup_requests: 0\n");
  hooks.stop_requested = [&] { return target.seen.size() >= 45; };
  const Status stopped = Execute(results, target, hooks, clock);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  auto partial = Summarize(results);
  ASSERT_TRUE(partial.ok());
  ASSERT_EQ(partial->cells.size(), 2u);
  EXPECT_EQ(partial->cells[1].ended_by, "interrupt");
  EXPECT_GT(partial->cells[1].whole.completed, 5);

  auto resumed = LoadResults::Open(results.dir());
  ASSERT_TRUE(resumed.ok() && resumed->PrepareResume().ok());
  hooks.stop_requested = {};
  target.seen.clear();
  ASSERT_TRUE(Execute(*resumed, target, hooks, clock).ok());
  EXPECT_EQ(target.seen.size(), 60u) << "the first level is not measured again";
  const auto whole = Summarize(*resumed);
  ASSERT_TRUE(whole.ok() && whole->complete);
  ASSERT_EQ(whole->cells.size(), 3u);
  EXPECT_EQ(whole->cells[1].whole.completed, 30);
}

// 100 requests/s can be served; the search finds that and can be computed again from the files alone.
TEST_F(LoadTestTest, FindsTheHighestRateAndRecomputesTheSearch) {
  LoadResults results = Create(
      "workload: {input_tokens: 8, output_tokens: 1, requests: 400}\nload: {rates_per_s: 1, arrivals: constant}\n"
      "objectives: {ttft_s: 0.05}\nsearch: {start: 10, target_share: 0.9}\nwarmup_requests: 0\n");
  ASSERT_TRUE(Execute(results, target, hooks, clock).ok());
  const auto summary = Summarize(*LoadResults::Open(results.dir()));
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  ASSERT_TRUE(summary->search.has_value());
  ASSERT_TRUE(summary->search->passes && summary->search->fails);
  EXPECT_LE(*summary->search->passes, 102);
  EXPECT_GE(*summary->search->fails, 98);
  EXPECT_GT(*summary->search->passes, 90);
  EXPECT_EQ(summary->cells.size(), results.manifest().measurements.size());
}

TEST_F(LoadTestTest, RefusesIdsWhereTheServerTakesText) {
  target.takes_ids = false;
  LoadManifest manifest;
  manifest.config = *ParseLoadTestConfig("server: {url: http://h}\nworkload: {requests: 3}\n", "load.yaml", dir_);
  const Status status = Describe(manifest, target);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("text: true"));
}

TEST_F(LoadTestTest, NamesADamagedManifest) {
  const LoadResults results = Create("workload: {requests: 3}\n");
  ASSERT_TRUE(WriteFileAtomically(results.dir() / kManifestName, "{\"schema\": 9}").ok());
  EXPECT_THAT(LoadResults::Open(results.dir()).error().message, HasSubstr("schema 9"));
  EXPECT_THAT(LoadResults::Open(dir_ / "nothing").error().message, HasSubstr("not a stored load test"));
}

}  // namespace
}  // namespace moecap::loadtest
