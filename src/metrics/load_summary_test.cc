#include "metrics/load_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace moecap::metrics {
namespace {

using record::FinishReason;
using record::RequestError;
using record::RequestRecord;
using record::TokensSource;
using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

// Sent at `send_s`, tokens every `gap_s` from `first_s` on.
RequestRecord Answer(double send_s, double first_s, double gap_s, int tokens) {
  RequestRecord request;
  request.send_s = request.intended_send_s = send_s;
  for (int i = 0; i < tokens; ++i) request.token_s.push_back(first_s + gap_s * i);
  request.output_tokens = tokens;
  return request;
}

RequestRecord Failure(double send_s, RequestError kind, const char* message) {
  RequestRecord request;
  request.send_s = request.intended_send_s = send_s;
  request.finish = FinishReason::kError;
  request.error_kind = kind;
  request.error = message;
  return request;
}

// Two answers of 1.4 s and 0.9 s, two refusals, a time-out, an empty answer and a planned cancellation.
std::vector<RequestRecord> Mixed() {
  std::vector<RequestRecord> requests = {Answer(0, 0.5, 0.3, 4), Answer(1, 1.5, 0.1, 5)};
  requests[0].tokens_source = TokensSource::kFinalUsage;
  requests[0].retries = 2;
  requests[1].retries = 1;
  requests.push_back(Failure(2, RequestError::kConnectRefused, "refused by 10.0.0.1"));
  requests.push_back(Failure(0.25, RequestError::kIdleTimeout, "nothing for 10 s"));
  requests.push_back(Failure(3, RequestError::kConnectRefused, "refused by 10.0.0.2"));
  requests.push_back(Failure(2.5, RequestError::kConnectRefused, "refused by 10.0.0.1"));
  requests.push_back(Answer(3.5, 0, 0, 0));
  requests.push_back(Failure(3.25, RequestError::kCancelledByClient, "planned"));
  requests.back().finish = FinishReason::kCancelled;
  return requests;
}

TEST(LoadFigures, ByHand) {
  LatencyObjectives objectives;
  objectives.ttft_s = 0.5;
  objectives.tpot_s = 0.2;
  const LoadFigures cell = DescribeLoad(Mixed(), objectives);
  EXPECT_EQ(cell.whole.offered, 8);
  EXPECT_EQ(cell.whole.completed, 2);
  EXPECT_EQ(cell.whole.failed, 5) << "the empty answer is among them";
  EXPECT_EQ(cell.whole.cancelled, 1);
  EXPECT_EQ(cell.whole.output_tokens, 9);
  EXPECT_DOUBLE_EQ(cell.whole.window.to_s, 3.5);
  EXPECT_NEAR(cell.whole.output_tokens_per_s, 9 / 3.5, 1e-12);
  EXPECT_EQ(cell.whole.met, 1) << "the first answer has 0.3 s between tokens";
  EXPECT_NEAR(*cell.whole.goodput_per_s, 1 / 3.5, 1e-12);
  EXPECT_NEAR(*cell.whole.good_share, 1 / 8.0, 1e-12) << "failures count as offered";
  EXPECT_EQ(cell.retries, 3);
  EXPECT_THAT(cell.token_sources, ElementsAre(Field(&TokenSourceCount::source, record::TokensSource::kTokenIds),
                                              Field(&TokenSourceCount::source, record::TokensSource::kFinalUsage)));

  ASSERT_EQ(cell.errors.size(), 3u);
  EXPECT_EQ(cell.errors[0].kind, RequestError::kConnectRefused);
  EXPECT_EQ(cell.errors[0].count, 3);
  EXPECT_DOUBLE_EQ(cell.errors[0].first_s, 2);
  EXPECT_DOUBLE_EQ(cell.errors[0].last_s, 3);
  EXPECT_THAT(cell.errors[0].messages, ElementsAre("refused by 10.0.0.1", "refused by 10.0.0.2"));
  EXPECT_EQ(cell.errors[1].kind, RequestError::kIdleTimeout);
  EXPECT_EQ(cell.errors[2].kind, RequestError::kZeroTokens);

  // 0..1.4 one, 1..1.9 another one: both between 1 and 1.4. Failures without an end take no time.
  EXPECT_EQ(cell.concurrency.peak, 2);
  EXPECT_NEAR(cell.concurrency.mean, (1.4 + 0.9) / 3.5, 1e-12);
  ASSERT_TRUE(cell.steady);
  ASSERT_TRUE(cell.in_steady);
  EXPECT_NEAR(cell.steady->window.from_s, 0, 0.036) << "in hundredths of the run";
  EXPECT_NEAR(cell.steady->window.to_s, 1.9, 0.036) << "then nothing was in flight, most of the time one";
}

TEST(LoadFigures, CountsWhatAServerDidOtherwise) {
  std::vector<RequestRecord> requests = {Answer(0, 0.5, 0.3, 4), Answer(1, 1.5, 0.1, 5), Answer(2, 2.5, 0.1, 5),
                                         Failure(3, RequestError::kHttp5xx, "500")};
  requests[0].timing_gap = requests[1].timing_gap = record::TimingGap::kStreamIgnored;
  requests[3].timing_gap = record::TimingGap::kOneBurst;
  requests[1].quirks = {"b"};
  requests[2].quirks = {"a", "b"};
  requests[3].quirks = {"a", "c"};
  const LoadFigures cell = DescribeLoad(requests, {.tpot_s = 1});
  ASSERT_EQ(cell.timing_gaps.size(), 1u) << "of those completed";
  EXPECT_EQ(cell.timing_gaps[0].gap, record::TimingGap::kStreamIgnored);
  EXPECT_EQ(cell.timing_gaps[0].requests, 2);
  EXPECT_EQ(cell.whole.without_token_times, 2);
  EXPECT_EQ(cell.whole.unjudged, 2);
  ASSERT_EQ(cell.quirks.size(), 3u);
  EXPECT_EQ(cell.quirks[0].quirk, "a") << "most frequent first, then by name";
  EXPECT_EQ(cell.quirks[1].requests, 2);
  EXPECT_EQ(cell.quirks[2].quirk, "c");
}

TEST(LoadFigures, KeepsFiveMessagesAndNothingOfAnEmptyRun) {
  std::vector<RequestRecord> requests;
  for (int i = 0; i < 9; ++i) requests.push_back(Failure(i, RequestError::kHttp5xx, std::to_string(i / 2).c_str()));
  requests.push_back(Failure(9, RequestError::kHttp5xx, ""));
  for (int i = 0; i < 9; ++i) requests.push_back(Failure(10 + i, RequestError::kHttp5xx, std::to_string(i).c_str()));
  const LoadFigures cell = DescribeLoad(requests, {});
  ASSERT_EQ(cell.errors.size(), 1u);
  EXPECT_EQ(cell.errors[0].count, 19);
  EXPECT_THAT(cell.errors[0].messages, ElementsAre("0", "1", "2", "3", "4"));

  const LoadFigures empty = DescribeLoad({}, {});
  EXPECT_THAT(empty.errors, IsEmpty());
  EXPECT_THAT(empty.concurrency_curve, IsEmpty());
  EXPECT_FALSE(empty.steady);
  EXPECT_TRUE(empty.whole.latencies.empty());
}

// By plan, by an interrupt, at the end of the drain, and what was never sent.
TEST(LoadFigures, WhatTheClientGaveUpIsNoError) {
  std::vector<RequestRecord> requests = {Answer(0, 0.5, 0.3, 4)};
  for (const RequestError kind :
       {RequestError::kCancelledByClient, RequestError::kNone, RequestError::kTotalTimeout, RequestError::kNotIssued}) {
    requests.push_back(Failure(1, kind, ""));
    requests.back().finish = FinishReason::kCancelled;
  }
  const LoadFigures cell = DescribeLoad(requests, {});
  EXPECT_THAT(cell.errors, IsEmpty());
  EXPECT_EQ(cell.whole.failed, 0);
  EXPECT_EQ(cell.whole.cancelled, 4);
  requests.push_back(Failure(2, RequestError::kTotalTimeout, "no end within 600 s"));
  EXPECT_EQ(DescribeLoad(requests, {}).errors.size(), 1u) << "the request's own limit is the server's fault";
}

TEST(LoadFigures, AnErrorWithoutAKindIsStillOne) {
  const LoadFigures cell = DescribeLoad(std::vector{Failure(1, RequestError::kNone, "engine failed")}, {});
  ASSERT_EQ(cell.errors.size(), 1u);
  EXPECT_THAT(cell.errors[0].messages, ElementsAre("engine failed"));
}

int64_t InFlightAt(const std::vector<RequestRecord>& requests, double at_s) {
  return std::ranges::count_if(
      requests, [&](const RequestRecord& r) { return r.send_s <= at_s && !r.token_s.empty() && at_s < r.token_s.back(); });
}

double AreaOf(const std::vector<ConcurrencyStep>& steps) {
  double area = 0;
  for (size_t i = 0; i + 1 < steps.size(); ++i)
    area += (steps[i + 1].at_s - steps[i].at_s) * static_cast<double>(steps[i].requests);
  return area;
}

TEST(LoadFigures, ThinnedCurveKeepsPeakMeanAndEnds) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> start(0, 100), length(0.001, 5);
    std::vector<RequestRecord> requests;
    for (int i = 0; i < 5000; ++i) {
      const double send_s = start(random);
      requests.push_back(Answer(send_s, send_s + length(random), 0, 1));
    }
    const LoadFigures cell = DescribeLoad(requests, {});
    const auto& curve = cell.concurrency_curve;
    EXPECT_LE(curve.size(), 400u);
    EXPECT_GT(curve.size(), 300u);
    double in_flight_s = 0, first_s = 1e9, last_s = 0;
    for (const RequestRecord& request : requests) {
      in_flight_s += request.token_s.back() - request.send_s;
      first_s = std::min(first_s, request.send_s);
      last_s = std::max(last_s, request.token_s.back());
    }
    EXPECT_NEAR(AreaOf(curve), in_flight_s, 1e-6 * in_flight_s) << "by Little's law";
    EXPECT_NEAR(cell.concurrency.mean, in_flight_s / (last_s - first_s), 1e-9 * in_flight_s);
    EXPECT_DOUBLE_EQ(curve.front().at_s, first_s);
    EXPECT_DOUBLE_EQ(curve.back().at_s, last_s);
    EXPECT_EQ(curve.back().requests, 0);
    EXPECT_TRUE(std::ranges::is_sorted(curve, std::ranges::less_equal(), &ConcurrencyStep::at_s));
    // The concurrency changes only where a request starts or ends: its peak is at a start.
    int64_t peak = 0;
    for (const RequestRecord& request : requests) peak = std::max(peak, InFlightAt(requests, request.send_s));
    EXPECT_EQ(std::ranges::max(curve, {}, &ConcurrencyStep::requests).requests, peak);
    EXPECT_EQ(cell.concurrency.peak, peak);
    // Each step lies within what really happened in its slice.
    const double slice_s = (last_s - first_s) / 199;
    for (size_t i = 0; i + 1 < curve.size(); i += 7) {
      bool seen = false;
      for (const RequestRecord& request : requests) {
        for (const double at_s : {request.send_s, request.token_s.back()}) {
          const bool near = std::abs(at_s - curve[i].at_s) <= slice_s * 1.001;
          seen = seen || (near && InFlightAt(requests, at_s) == curve[i].requests);
        }
      }
      EXPECT_TRUE(seen) << curve[i].at_s << " " << curve[i].requests;
    }
  }
}

TEST(LoadFigures, AShortCurveIsNotThinned) {
  const LoadFigures cell = DescribeLoad(std::vector{Answer(0, 1, 0, 1), Answer(0.5, 2, 0, 1)}, {});
  ASSERT_EQ(cell.concurrency_curve.size(), 4u);
  EXPECT_DOUBLE_EQ(cell.concurrency_curve[1].at_s, 0.5);
  EXPECT_EQ(cell.concurrency_curve[1].requests, 2);
}

// 100 requests of one second, one every 0.1 s: ten run at once between ramp and drain.
TEST(LoadFigures, SteadyFiguresLeaveOutRampAndDrain) {
  std::vector<RequestRecord> requests;
  for (int i = 0; i < 100; ++i) requests.push_back(Answer(0.1 * i, 0.1 * i + 0.2, 0.2, 5));
  const LoadFigures cell = DescribeLoad(requests, {});
  ASSERT_TRUE(cell.in_steady);
  const Window& window = cell.steady->window;
  int64_t offered = 0, tokens = 0;
  for (const RequestRecord& request : requests) {
    if (request.send_s >= window.from_s && request.send_s <= window.to_s) ++offered;
    for (const double at_s : request.token_s) tokens += at_s >= window.from_s && at_s <= window.to_s ? 1 : 0;
  }
  EXPECT_EQ(cell.in_steady->offered, offered);
  EXPECT_NEAR(cell.in_steady->output_tokens_per_s, static_cast<double>(tokens) / (window.to_s - window.from_s), 1e-9);
  EXPECT_NEAR(cell.in_steady->output_tokens_per_s, 50, 2) << "ten requests a second of five tokens";
  EXPECT_LT(cell.whole.output_tokens_per_s, 48) << "the drain is in it";
}

}  // namespace
}  // namespace moecap::metrics
