#include "metrics/latency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "metrics/compat.h"
#include "metrics/concurrency.h"
#include "metrics/pooled_latencies.h"

namespace moecap::metrics {
namespace {

using record::RequestRecord;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

// Meant to go out at 1.0, sent at 1.5, 0.1 s to connect, an empty first chunk at 1.9; then chunks of 2, 3 and 1 tokens at 2.0,
// 2.3 and 2.4; the first two tokens are reasoning.
RequestRecord Sample() {
  RequestRecord request;
  request.intended_send_s = 1.0;
  request.send_s = 1.5;
  request.connect_s = 0.1;
  request.first_byte_s = 1.9;
  request.token_s = {2.0, 2.0, 2.3, 2.3, 2.3, 2.4};
  request.chunk_tokens = {2, 3, 1};
  request.first_answer_s = 2.3;
  request.end_s = 2.45;
  request.input_tokens = 10;
  request.output_tokens = 6;
  request.reasoning_tokens = 2;
  return request;
}

TEST(Latency, OfOneRequestByHand) {
  const RequestLatency latency = LatencyOf(Sample());
  EXPECT_NEAR(*latency.ttft_s, 0.4, 1e-12);
  EXPECT_NEAR(*latency.ttfo_s, 0.7, 1e-12);
  EXPECT_NEAR(*latency.tpot_s, 0.4 / 4, 1e-12) << "6 tokens, 2 of them in the first chunk";
  EXPECT_NEAR(*latency.e2e_s, 0.8, 1e-12);
  EXPECT_NEAR(*latency.normalised_s, 0.8 / 6, 1e-12);
  EXPECT_NEAR(*latency.output_tokens_per_s, 10, 1e-9);
  EXPECT_NEAR(*latency.user_ttft_s, 1.0, 1e-12);
  EXPECT_NEAR(*latency.user_e2e_s, 1.4, 1e-12);
  EXPECT_NEAR(latency.send_lag_s, 0.5, 1e-12);
  std::vector<double> inter_chunk, inter_token;
  AppendGaps(Sample(), inter_chunk, inter_token);
  EXPECT_THAT(inter_chunk, Pointwise(DoubleNear(1e-12), {0.3, 0.1}));
  EXPECT_THAT(inter_token, Pointwise(DoubleNear(1e-12), {0.1, 0.1, 0.1, 0.1}));
}

TEST(Latency, ShareOfObjectivesIsTheLargest) {
  EXPECT_NEAR(ShareOfObjectives(Sample(), {.ttft_s = 2.0, .tpot_s = 0.4, .e2e_s = 2.0}), 0.7, 1e-12)
      << "E2E as the user sees it";
  EXPECT_NEAR(ShareOfObjectives(Sample(), {.tpot_s = 0.05}), 2, 1e-12);
  EXPECT_EQ(MeetsObjectives(Sample(), {.tpot_s = 0.05}), false);
  EXPECT_EQ(ShareOfObjectives(Sample(), {}), 0);
  EXPECT_TRUE(std::isinf(ShareOfObjectives({}, {.tpot_s = 1})));
}

TEST(Latency, OfTooFewTokensOrAFailureIsNull) {
  RequestRecord request = Sample();
  request.token_s = {2.0, 2.0};
  request.chunk_tokens = {2};
  EXPECT_EQ(LatencyOf(request).tpot_s, std::nullopt) << "all tokens came together: no gap was seen";
  EXPECT_TRUE(LatencyOf(request).ttft_s);
  request.finish = record::FinishReason::kError;
  EXPECT_EQ(LatencyOf(request).ttft_s, std::nullopt);
  request = {};
  EXPECT_EQ(LatencyOf(request).e2e_s, std::nullopt) << "an empty answer is no success";
}

// An answer in one piece: nobody knows when its first token was there, nor the time between two of them.
TEST(Latency, OfAnAnswerThatCameWholeIsItsEndAlone) {
  for (const auto gap : {record::TimingGap::kCameWhole, record::TimingGap::kStreamIgnored}) {
    RequestRecord request = Sample();
    request.token_s.assign(6, 2.4);
    request.chunk_tokens = {6};
    request.timing_gap = gap;
    const RequestLatency latency = LatencyOf(request);
    EXPECT_EQ(latency.ttft_s, std::nullopt);
    EXPECT_EQ(latency.user_ttft_s, std::nullopt);
    EXPECT_EQ(latency.ttfo_s, std::nullopt);
    EXPECT_EQ(latency.tpot_s, std::nullopt);
    EXPECT_EQ(latency.output_tokens_per_s, std::nullopt);
    EXPECT_NEAR(*latency.e2e_s, 0.8, 1e-12);
    std::vector<double> inter_chunk, inter_token;
    AppendGaps(request, inter_chunk, inter_token);
    EXPECT_THAT(inter_chunk, ElementsAre());
    EXPECT_THAT(inter_token, ElementsAre());
    for (const std::string& tool : CompatTools()) {
      const auto view = ViewAs(tool, std::vector{request});
      EXPECT_EQ(view->Find("ttft"), nullptr) << tool;
      EXPECT_EQ(view->Find("tpot"), nullptr) << tool;
      EXPECT_NE(view->Find("e2el"), nullptr) << tool;
    }
  }
}

TEST(Latency, UnevenChunksHaveATtftAndGapsBetweenChunksOnly) {
  RequestRecord request = Sample();
  request.timing_gap = record::TimingGap::kUnevenChunks;
  EXPECT_NEAR(*LatencyOf(request).ttft_s, 0.4, 1e-12);
  EXPECT_EQ(LatencyOf(request).tpot_s, std::nullopt);
  std::vector<double> inter_chunk, inter_token;
  AppendGaps(request, inter_chunk, inter_token);
  EXPECT_THAT(inter_chunk, Pointwise(DoubleNear(1e-12), {0.3, 0.1}));
  EXPECT_THAT(inter_token, ElementsAre());
}

TEST(Latency, ABurstHasNoTimePerToken) {
  RequestRecord request = Sample();
  request.token_s.assign(6, 2.4);
  request.chunk_tokens.clear();
  EXPECT_EQ(LatencyOf(request).tpot_s, std::nullopt) << "0 is no time per token";
  request.timing_gap = record::TimingGap::kOneBurst;
  std::vector<double> inter_chunk, inter_token;
  AppendGaps(request, inter_chunk, inter_token);
  EXPECT_THAT(inter_token, ElementsAre());
}

TEST(Latency, AnObjectiveWithoutAFigureIsNotKept) {
  RequestRecord whole = Sample();
  whole.timing_gap = record::TimingGap::kCameWhole;
  EXPECT_EQ(MeetsObjectives(whole, {.tpot_s = 1}), std::nullopt);
  EXPECT_EQ(MeetsObjectives(whole, {.ttft_s = 10}), std::nullopt);
  EXPECT_EQ(MeetsObjectives(whole, {.e2e_s = 10}), true);
  EXPECT_EQ(MeetsObjectives(whole, {.tpot_s = 1, .e2e_s = 0.1}), false) << "one objective is broken for sure";
  RequestRecord one_token = Sample();
  one_token.token_s = {2.0};
  one_token.chunk_tokens.clear();
  EXPECT_EQ(MeetsObjectives(one_token, {.tpot_s = 1e-9}), true) << "there is no time between one token";
  RequestRecord one_chunk = Sample();
  one_chunk.token_s = {2.0, 2.0};
  one_chunk.chunk_tokens = {2};
  EXPECT_EQ(MeetsObjectives(one_chunk, {.tpot_s = 1}), std::nullopt);

  const std::vector<RequestRecord> all_whole = {whole, whole};
  const ServingFigures unknown = DescribeServing(all_whole, *WholeRun(all_whole), {.tpot_s = 1});
  EXPECT_EQ(unknown.met, std::nullopt);
  EXPECT_EQ(unknown.good_share, std::nullopt);
  EXPECT_EQ(unknown.goodput_per_s, std::nullopt);
  EXPECT_EQ(unknown.unjudged, 2);
  EXPECT_EQ(unknown.without_token_times, 2);
  const std::vector<RequestRecord> mixed = {whole, Sample()};
  const ServingFigures partly = DescribeServing(mixed, *WholeRun(mixed), {.tpot_s = 1});
  EXPECT_EQ(partly.met, 1);
  EXPECT_EQ(partly.unjudged, 1);
  EXPECT_DOUBLE_EQ(*partly.good_share, 0.5) << "what cannot be judged counts as not met";
}

// vLLM's client skips comments: what ends its TTFT is the first event with a choice.
TEST(Compat, VllmCountsFromTheFirstEventAndNotFromComments) {
  RequestRecord request = Sample();
  request.first_byte_s = 1.51;
  request.first_event_s = 1.9;
  EXPECT_NEAR(ViewAs("vllm", std::vector{request})->Find("ttft")->mean_s, 0.4, 1e-12);
  request.first_event_s = 2.0;
  EXPECT_NEAR(ViewAs("vllm", std::vector{request})->Find("ttft")->mean_s, 0.5, 1e-12);
}

// The sum of a request's token gaps is its decode time, however the tokens were packed.
TEST(Latency, GapsAddUpToTheDecodeTime) {
  for (const std::vector<int32_t>& packing : {std::vector<int32_t>{2, 3, 1}, {1, 1, 4}, {5, 1}, {}}) {
    RequestRecord request = Sample();
    request.chunk_tokens = packing;
    double at_s = 3;
    request.token_s.clear();
    for (const int32_t tokens : packing.empty() ? std::vector<int32_t>(6, 1) : packing) {
      request.token_s.insert(request.token_s.end(), static_cast<size_t>(tokens), at_s);
      at_s += 0.25;
    }
    std::vector<double> inter_chunk, inter_token;
    AppendGaps(request, inter_chunk, inter_token);
    double chunks = 0, tokens = 0;
    for (const double gap : inter_chunk) chunks += gap;
    for (const double gap : inter_token) tokens += gap;
    const double decode_s = request.token_s.back() - request.token_s.front();
    EXPECT_NEAR(chunks, decode_s, 1e-12);
    EXPECT_NEAR(tokens, decode_s, 1e-12);
    EXPECT_NEAR(*LatencyOf(request).tpot_s * static_cast<double>(inter_token.size()), decode_s, 1e-12);
  }
}

std::vector<RequestRecord> ThreeRequests() {
  std::vector<RequestRecord> requests(3, Sample());
  requests[1].send_s = requests[1].intended_send_s = 2.0;
  requests[1].connect_s.reset();
  requests[1].token_s = {2.1, 2.2, 2.3, 2.4};
  requests[1].chunk_tokens.clear();
  requests[1].output_tokens = 4;
  requests[1].reasoning_tokens = 0;
  requests[2].send_s = requests[2].intended_send_s = 2.5;
  requests[2].token_s.clear();
  requests[2].chunk_tokens.clear();
  requests[2].output_tokens = 0;
  requests[2].finish = record::FinishReason::kError;
  return requests;
}

// Both count tokens of requests that ended well: over the whole run one is the other by the time.
TEST(Latency, ThroughputAndTokensAgreeWhenRequestsFail) {
  std::vector<RequestRecord> requests = ThreeRequests();
  requests[2] = Sample();
  requests[2].finish = record::FinishReason::kError;
  requests[2].error_kind = record::RequestError::kResetMidstream;
  const Window window = *WholeRun(requests);
  const ServingFigures figures = DescribeServing(requests, window);
  EXPECT_EQ(figures.output_tokens, 10);
  EXPECT_NEAR(figures.output_tokens_per_s * window.Seconds(), 10, 1e-9);
}

TEST(Latency, GoodputCountsEveryOfferedRequest) {
  const auto requests = ThreeRequests();
  const Window window = *WholeRun(requests);
  EXPECT_EQ(window.from_s, 1.0);
  EXPECT_EQ(window.to_s, 2.5);
  // As the user sees it the first request took a second to its first token; as the server sees it 0.4 s.
  const ServingFigures user = DescribeServing(requests, window, {.ttft_s = 0.5});
  EXPECT_EQ(user.offered, 3);
  EXPECT_EQ(user.completed, 2);
  EXPECT_EQ(user.failed, 1);
  EXPECT_EQ(user.met, 1);
  EXPECT_NEAR(*user.good_share, 1.0 / 3, 1e-12);
  EXPECT_NEAR(*user.goodput_per_s, 1 / 1.5, 1e-12);
  EXPECT_NEAR(user.output_tokens_per_s, 10 / 1.5, 1e-12);
  EXPECT_EQ(DescribeServing(requests, window, {.ttft_s = 0.5, .from_intended_send = false}).met, 2);
  EXPECT_EQ(DescribeServing(requests, window, {.ttft_s = 0.5, .tpot_s = 0.05, .from_intended_send = false}).met, 0);
  EXPECT_EQ(DescribeServing(requests, window).met, std::nullopt);
  EXPECT_EQ(DescribeServing(requests, window).achieved_share, 1);
  // Only tokens that arrive inside the window count.
  EXPECT_NEAR(DescribeServing(requests, {2.25, 2.5}).output_tokens_per_s, (4 + 2) / 0.25, 1e-9);
}

TEST(Latency, NamesEveryDistributionOnce) {
  const auto requests = ThreeRequests();
  const ServingFigures figures = DescribeServing(requests, *WholeRun(requests));
  std::vector<std::string> names;
  for (const auto& figure : figures.latencies) names.push_back(figure.name);
  EXPECT_THAT(
      names, ElementsAre("ttft_s", "ttfo_s", "tpot_s", "itl_s", "icl_s", "e2e_s", "normalised_s", "request_output_tokens_per_s",
                         "user_ttft_s", "user_e2e_s", "user_time_per_token_s", "send_lag_s", "connect_s"));
  EXPECT_EQ(figures.latencies[1].distribution.count, 1) << "only one request had reasoning";
  EXPECT_FALSE(figures.latencies[0].quantiles.back().supported);
  EXPECT_EQ(figures.latencies[0].quantiles.back().samples_needed, 6636);
}

TEST(Latency, PooledOnesAreThoseOfAllRequestsInARow) {
  const auto requests = ThreeRequests();
  std::vector<RequestRecord> row = requests;
  row.push_back(Sample());
  const ServingFigures whole = DescribeServing(row, *WholeRun(row));
  const std::vector<RequestRecord> last = {Sample()};
  const std::vector<LatencyFigure> pooled = PooledLatencies(std::vector<std::span<const RequestRecord>>{requests, last});
  ASSERT_EQ(pooled.size(), whole.latencies.size());
  for (size_t i = 0; i < pooled.size(); ++i) {
    EXPECT_EQ(pooled[i].name, whole.latencies[i].name);
    EXPECT_EQ(pooled[i].distribution.count, whole.latencies[i].distribution.count) << pooled[i].name;
    EXPECT_EQ(pooled[i].distribution.mean, whole.latencies[i].distribution.mean) << pooled[i].name;
    for (size_t q = 0; q < pooled[i].quantiles.size(); ++q)
      EXPECT_EQ(pooled[i].quantiles[q].value, whole.latencies[i].quantiles[q].value) << pooled[i].name;
  }
  EXPECT_TRUE(PooledLatencies({}).empty());
}

// Gaps between chunks and between tokens are the same numbers until a chunk brings several tokens, whichever request that is.
TEST(Latency, GapsOfChunksAndTokensPartWithTheFirstChunkOfSeveral) {
  RequestRecord single;
  single.token_s = {2.0, 2.25, 2.75};
  single.output_tokens = 3;
  for (const std::vector<RequestRecord>& requests :
       {std::vector{single, single}, {single, Sample(), single}, {Sample(), single}, {Sample()}}) {
    const ServingFigures figures = DescribeServing(requests, {0, 10});
    std::vector<double> inter_chunk_s, inter_token_s;
    for (const RequestRecord& request : requests) AppendGaps(request, inter_chunk_s, inter_token_s);
    const auto expect = [&](size_t index, const char* name, std::vector<double>& samples) {
      const LatencyFigure& figure = figures.latencies.at(index);
      EXPECT_EQ(figure.name, name);
      EXPECT_EQ(figure.distribution.count, std::ssize(samples)) << name;
      const auto independent = DescribeLatency(name, samples);
      EXPECT_EQ(figure.distribution.mean, independent->distribution.mean) << name;
      EXPECT_EQ(figure.distribution.stddev, independent->distribution.stddev) << name;
      ASSERT_EQ(figure.quantiles.size(), independent->quantiles.size());
      for (size_t i = 0; i < figure.quantiles.size(); ++i)
        EXPECT_EQ(figure.quantiles[i].value, independent->quantiles[i].value) << name;
    };
    const size_t first = figures.latencies.at(1).name == "ttfo_s" ? 3 : 2;
    expect(first, "itl_s", inter_token_s);
    expect(first + 1, "icl_s", inter_chunk_s);
  }
}

// The definitions of reference clients, applied by hand to the sample.
TEST(Compat, EachToolByHand) {
  const std::vector<RequestRecord> requests = {Sample()};
  struct Row {
    const char* tool;
    double ttft, tpot, e2e;
    std::vector<double> itl;
  };
  for (const Row& row : {Row{"moecap", 0.4, 0.1, 0.8, {0.1, 0.1, 0.1, 0.1}}, Row{"vllm", 0.4, 0.5 / 5, 0.9, {0.1, 0.1, 0.3}},
                         Row{"sglang", 0.5, 0.45 / 5, 0.95, {0.1, 0.3}}, Row{"aiperf", 0.5, 0.4 / 5, 0.9, {0.08}},
                         Row{"guidellm", 0.5, 0.9 / 6, 0.9, {0.08}}, Row{"mlperf", 1.0, 0.4 / 5, 1.4, {}}}) {
    const auto view = ViewAs(row.tool, requests);
    ASSERT_TRUE(view.ok());
    EXPECT_NEAR(view->Find("ttft")->mean_s, row.ttft, 1e-12) << row.tool;
    EXPECT_NEAR(view->Find("tpot")->mean_s, row.tpot, 1e-12) << row.tool;
    EXPECT_NEAR(view->Find("e2el")->mean_s, row.e2e, 1e-12) << row.tool;
    const ToolFigure* itl = view->Find("itl");
    ASSERT_EQ(itl == nullptr, row.itl.empty()) << row.tool;
    if (itl != nullptr) {
      EXPECT_THAT(itl->samples_s, Pointwise(DoubleNear(1e-12), row.itl)) << row.tool;
    }
    EXPECT_NEAR(view->duration_s, 0.95, 1e-12);
    EXPECT_NEAR(*view->output_tokens_per_s, 6 / 0.95, 1e-9);
  }
  EXPECT_THAT(ViewAs("wrk", requests).error().message, HasSubstr("vllm"));
}

TEST(Compat, AgreesWhereTheToolsAgree) {
  // One token a chunk on an open connection, sent on time: every definition but GuideLLM's TPOT coincides.
  RequestRecord request = ThreeRequests()[1];
  request.first_byte_s.reset();
  request.end_s.reset();
  for (const std::string& tool : CompatTools()) {
    const auto view = ViewAs(tool, std::vector{request});
    EXPECT_NEAR(view->Find("ttft")->mean_s, 0.1, 1e-12) << tool;
    if (tool != "mlperf") {
      EXPECT_NEAR(view->Find("itl")->mean_s, 0.1, 1e-12) << tool;
    }
    EXPECT_NEAR(view->Find("tpot")->mean_s, 0.1, 1e-12) << tool;  // GuideLLM's too: 0.4 s over 4 tokens
  }
}

RequestRecord Span(double send_s, double end_s) {
  RequestRecord request;
  request.send_s = request.intended_send_s = send_s;
  request.token_s = {end_s};
  return request;
}

TEST(Concurrency, IsASweepOverSendsAndEnds) {
  const std::vector<RequestRecord> requests = {Span(0, 4), Span(1, 3), Span(3, 6)};
  const auto steps = ConcurrencyOverTime(requests);
  const ConcurrencyFigures figures = DescribeConcurrency(steps, {0, 6});
  EXPECT_EQ(figures.peak, 2);
  EXPECT_NEAR(figures.mean, (4 + 2 + 3) / 6.0, 1e-12) << "Little: the sum of the latencies over the time";
  const Window busy = *BusyWindow(steps);
  EXPECT_NEAR(busy.from_s, 1, 0.061);
  EXPECT_NEAR(busy.to_s, 4, 0.061) << "one request ends as another begins: there is no gap";
  EXPECT_EQ(BusyWindow({}), std::nullopt);
}

TEST(Concurrency, DriftNeedsSlopeAndCertainty) {
  std::vector<double> times, flat, rising, noisy;
  uint64_t state = 1;
  for (int i = 0; i < 200; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double noise = static_cast<double>(state >> 40) / static_cast<double>(1 << 24) - 0.5;
    times.push_back(i);
    flat.push_back(1 + 0.2 * noise);
    rising.push_back(1 + 0.003 * i + 0.2 * noise);
    noisy.push_back(1 + 0.0003 * i + 4 * noise);
  }
  EXPECT_EQ(JudgeDrift(times, flat).drift, Drift::kSteady);
  EXPECT_EQ(JudgeDrift(times, noisy).drift, Drift::kSteady);
  EXPECT_EQ(JudgeDrift(times, rising).drift, Drift::kRising);
  EXPECT_NEAR(JudgeDrift(times, rising).relative_change, (1 + 0.003 * 166.5) / (1 + 0.003 * 33) - 1, 0.05);
  for (double& value : rising) value = -value + 4;
  EXPECT_EQ(JudgeDrift(times, rising).drift, Drift::kFalling);
  EXPECT_EQ(JudgeDrift(std::span(times).first(19), std::span(flat).first(19)).drift, Drift::kTooFewSamples);
}

// A change is never below -100 %, whatever a pause at the beginning did to a mean.
TEST(Concurrency, APauseIsNoTrend) {
  std::vector<double> times, values;
  for (int i = 0; i < 60; ++i) {
    times.push_back(i);
    values.push_back(i < 3 ? 2.0 : 0.14 + 0.001 * (i % 7));
  }
  const DriftVerdict verdict = JudgeDrift(times, values);
  EXPECT_EQ(verdict.drift, Drift::kSteady);
  EXPECT_GT(verdict.relative_change, -0.05);
  for (int i = 0; i < 60; ++i) values[static_cast<size_t>(i)] = i < 30 ? 1.0 + 0.001 * (i % 5) : 0.1 + 0.001 * (i % 5);
  EXPECT_EQ(JudgeDrift(times, values).drift, Drift::kFalling);
  EXPECT_NEAR(JudgeDrift(times, values).relative_change, -0.9, 0.01);
}

// Requests of one second at Poisson times: concurrency fluctuates, and only the ends are no part of the steady state.
TEST(Concurrency, FluctuationIsNoEndOfTheLoad) {
  std::vector<RequestRecord> requests;
  uint64_t state = 7;
  double at_s = 0;
  while (at_s < 60) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    at_s += -std::log((static_cast<double>(state >> 11) + 0.5) * 0x1.0p-53) / 5;
    requests.push_back(Span(at_s, at_s + 1));
  }
  const auto busy = BusyWindow(ConcurrencyOverTime(requests));
  ASSERT_TRUE(busy);
  EXPECT_LT(busy->from_s, 5);
  EXPECT_GT(busy->to_s, 55);
}

TEST(Concurrency, SteadyStateLeavesRampAndDrainOut) {
  std::vector<RequestRecord> requests;
  for (int i = 0; i < 100; ++i) requests.push_back(Span(i * 0.1, i * 0.1 + 1));
  const auto state = FindSteadyState(requests);
  ASSERT_TRUE(state);
  EXPECT_NEAR(state->window.from_s, 0.8, 0.11);
  EXPECT_NEAR(state->window.to_s, 10.1, 0.11);
  EXPECT_EQ(state->ttft.drift, Drift::kSteady);
  EXPECT_EQ(state->tpot.drift, Drift::kTooFewSamples) << "one token a request: no TPOT";
  EXPECT_FALSE(state->steady);
  EXPECT_THAT(state->verdict, HasSubstr("TTFT steady"));
}

}  // namespace
}  // namespace moecap::metrics
