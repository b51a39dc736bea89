// The client against the mock server's log of what really happened. Nothing here depends on how fast the machine is: a stamp
// must never be before the event it stands for, however late it is.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "load/open_loop.h"
#include "mock/server.h"
#include "system/openai/openai_system.h"

namespace moecap {
namespace {

class ClientTruthTest : public testing::Test {
 protected:
  void SetUp() override {
    log_ = std::filesystem::path(testing::TempDir()) / fmt::format("client_truth_{}.jsonl", ::getpid());
    server_options_.log_file = log_;
    server_options_.model.vocab = 32000;
    server_options_.model_name = "mock";
  }
  void TearDown() override { std::filesystem::remove(log_); }

  // Sends requests named r0, r1, ... of `tokens` tokens at times `gap_s` apart.
  void Run(size_t count, double gap_s, int64_t tokens) {
    auto server = mock::Server::Start(server_options_).value();
    openai::OpenAiOptions options;
    options.http.urls = {net::ParseUrl(server->url()).value()};
    options.profile.api = openai::Api::kCompletions;
    options.profile.server = openai::ServerKind::kVllm;
    options.profile.model = "mock";
    const auto system = openai::OpenAiSystem::Create(std::move(options), clock_).value();
    specs_.resize(count);
    std::vector<load::PlannedRequest> plan;
    for (size_t i = 0; i < count; ++i) {
      specs_[i].id = specs_[i].cache_salt = fmt::format("r{}", i);
      specs_[i].prompt_token_ids = {static_cast<int32_t>(5 + i)};
      specs_[i].max_output_tokens = tokens;
      specs_[i].ignore_end_token = true;
      plan.push_back({&specs_[i], gap_s * static_cast<double>(i), {}});
    }
    load::OpenLoopOptions loop;
    loop.origin_ns = origin_ns_ = clock_.NowNs();
    result_ = load::RunOpenLoop(*system, plan, loop, clock_).value();
    server->Stop();
    truth_.clear();
    const std::vector<std::string> lines = ReadLines(log_).value();
    for (const std::string& line : lines) {
      Json record = ParseJson(line).value();
      if (record["record"] == "request") truth_[record["cache_salt"]] = record;
      if (record["record"] == "stall") stall_ = record;
    }
    ASSERT_EQ(result_.requests.size(), count);
    ASSERT_EQ(truth_.size(), count);
  }

  double SinceOrigin(const Json& time_ns) const { return static_cast<double>(time_ns.get<int64_t>() - origin_ns_) * 1e-9; }

  SteadyClock clock_;
  std::filesystem::path log_;
  mock::ServerOptions server_options_;
  std::vector<load::RequestSpec> specs_;
  int64_t origin_ns_ = 0;
  load::LoadResult result_;
  std::map<std::string, Json> truth_;
  Json stall_;
};

TEST_F(ClientTruthTest, NoStampIsBeforeWhatItStandsFor) {
  server_options_.timed.ttft_s = {0.02, 0.3};
  server_options_.timed.tpot_s = {0.01, 0.3};
  Run(64, 0.002, 20);
  for (const record::RequestRecord& request : result_.requests) {
    SCOPED_TRACE(request.id);
    const Json& truth = truth_.at(request.id);
    ASSERT_TRUE(request.ok()) << request.error;
    ASSERT_EQ(request.token_s.size(), 20u);
    ASSERT_EQ(truth["token_ns"].size(), 20u);
    constexpr double kRounding = 1e-9;
    EXPECT_LE(request.intended_send_s, request.send_s);
    EXPECT_LT(request.send_s, SinceOrigin(truth["arrival_ns"]));
    for (size_t k = 0; k < 20; ++k) EXPECT_GE(request.token_s[k] + kRounding, SinceOrigin(truth["token_ns"][k])) << k;
    EXPECT_TRUE(std::ranges::is_sorted(request.token_s));
  }
}

// Users who come while the server stands still wait at least until it goes on, and whoever measures from the intended time must
// say so. A client that waited for answers before it sent on would have sent few requests in that time, and fails here.
TEST_F(ClientTruthTest, AStallIsFeltByAllWhoComeMeanwhile) {
  constexpr double kGapS = 0.005, kTtftS = 0.004;
  server_options_.timed.ttft_s = {kTtftS, 0};
  server_options_.stall_for_s = 0.5;
  double begin_s = -1;
  // The server's time begins before the schedule's, by as much as the machine takes to make a client.
  for (double at_s = 0.2; begin_s < 0; at_s *= 4) {
    server_options_.stall_at_s = at_s;
    Run(static_cast<size_t>((at_s + 1) / kGapS), kGapS, 1);
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_FALSE(stall_.is_null());
    begin_s = SinceOrigin(stall_["start_ns"]);
  }
  const double end_s = SinceOrigin(stall_["end_ns"]);
  EXPECT_NEAR(end_s - begin_s, 0.5, 1e-9);
  std::vector<double> least, measured;
  int64_t met = 0;
  for (size_t i = 0; i < result_.requests.size(); ++i) {
    const record::RequestRecord& request = result_.requests[i];
    ASSERT_TRUE(request.ok()) << request.error;
    const double intended_s = kGapS * static_cast<double>(i);
    EXPECT_NEAR(request.intended_send_s, intended_s, 1e-9);
    const bool stalled = intended_s >= begin_s && intended_s < end_s;
    met += stalled;
    least.push_back(kTtftS + (stalled ? end_s - intended_s : 0));
    measured.push_back(request.token_s.front() - request.intended_send_s);
    EXPECT_GE(measured.back() + 1e-6, least.back()) << request.id;
  }
  const double planned = 0.5 / kGapS;
  EXPECT_NEAR(static_cast<double>(met), planned, 1) << "the schedule went on";
  std::ranges::sort(least);
  std::ranges::sort(measured);
  for (const double share : {0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<size_t>(share * static_cast<double>(least.size()));
    EXPECT_GE(measured[rank] + 1e-6, least[rank]);
  }
}

}  // namespace
}  // namespace moecap
