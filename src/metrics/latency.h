// What users of a server experience: latencies, throughput and goodput of recorded requests. docs/metrics.md, "Latency".
//
// Two starts of the clock: the *actual* send (service latency: what the server did) and the *intended* one (user latency: it
// also holds the wait of a request that the client could not send in time, so that a stalled server cannot hide behind requests
// that were never sent). In a closed loop they are equal. The time to open a connection belongs to neither.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "record/request_record.h"
#include "stats/quantile_bounds.h"
#include "stats/summary.h"

namespace moecap::metrics {

// Seconds. Null where the request has no such figure: too few tokens, it failed, it came whole (then only E2E and what follows
// from it), or nobody knows when its single tokens arrived (record::TimingGap: then no TPOT).
struct RequestLatency {
  std::optional<double> ttft_s;                   // actual send to the first token of any kind
  std::optional<double> ttfo_s;                   // ... to the first token of the answer, after reasoning
  std::optional<double> tpot_s;                   // (last token - first token) / (tokens - tokens of the first chunk)
  std::optional<double> e2e_s;                    // actual send to the last token
  std::optional<double> normalised_s;             // e2e / output tokens
  std::optional<double> output_tokens_per_s;      // 1 / tpot: the speed at which this user's text appears
  std::optional<double> user_ttft_s, user_e2e_s;  // from the intended send
  std::optional<double> user_time_per_token_s;    // user_e2e / output tokens: waiting in a queue counts
  double send_lag_s = 0;                          // actual minus intended send
  std::optional<double> connect_s;                // of requests that opened a connection
};

// The figures of one request; all latencies are null unless it ended well and has tokens.
RequestLatency LatencyOf(const record::RequestRecord& request);

// Gaps between chunks (ICL), and between tokens (ITL): the gap before a chunk of k tokens is k times its k-th part. Appends
// nothing of a request with a TimingGap, except the gaps between uneven chunks, which were seen.
void AppendGaps(const record::RequestRecord& request, std::vector<double>& inter_chunk_s, std::vector<double>& inter_token_s);

// When the first token of each chunk arrived, and how many tokens it had.
struct ChunkArrival {
  double at_s = 0;
  int32_t tokens = 1;
};
std::vector<ChunkArrival> ChunksOf(const record::RequestRecord& request);

// A distribution with the percentiles that the sample can support (stats/quantile_bounds.h).
struct LatencyFigure {
  std::string name;  // "ttft_s"
  stats::Distribution distribution;
  std::vector<stats::QuantileEstimate> quantiles;  // p1, p5, p10, p25, p50, p75, p90, p95, p99, p99.9
};
// Null for no samples. Sorts `samples`.
std::optional<LatencyFigure> DescribeLatency(std::string name, std::vector<double>& samples);

// Joint objectives; a request meets them when it ended well and keeps every one that is set.
struct LatencyObjectives {
  std::optional<double> ttft_s, tpot_s, e2e_s;
  bool from_intended_send = true;  // TTFT and E2E as the user sees them
  bool Any() const { return ttft_s || tpot_s || e2e_s; }
};
// A request of one token has no TPOT and keeps any objective for it. Null = cannot be judged: it breaks none of the objectives
// that have a figure, and one that is set has none (an answer that came whole, or in one chunk of several tokens).
std::optional<bool> MeetsObjectives(const record::RequestRecord& request, const LatencyObjectives& objectives);
// The largest of its latencies as a share of their objectives, 1 = just met; infinite where it has no tokens, 0 without an
// objective.
double ShareOfObjectives(const record::RequestRecord& request, const LatencyObjectives& objectives);

// Requests between `from_s` and `to_s`, by the time they were meant to be sent.
struct Window {
  double from_s = 0, to_s = 0;
  double Seconds() const { return to_s - from_s; }
};
// From the first intended send to the last token: the ramp up and the drain of the last requests are in it.
std::optional<Window> WholeRun(std::span<const record::RequestRecord> requests);

struct ServingFigures {
  Window window;
  // `cancelled`: given up by the client, for whatever reason, or never sent; neither completed nor failed.
  int64_t offered = 0, completed = 0, failed = 0, cancelled = 0;
  int64_t without_token_times = 0;  // of those completed: with a TimingGap, so without TPOT
  int64_t input_tokens = 0, output_tokens = 0, reasoning_tokens = 0, cached_input_tokens = 0;  // of those completed
  // Of those completed: ttft_s, ttfo_s (of requests with reasoning), tpot_s, itl_s, icl_s, e2e_s, normalised_s,
  // request_output_tokens_per_s, user_ttft_s, user_e2e_s, user_time_per_token_s; of all: send_lag_s, and connect_s where a
  // connection was opened.
  std::vector<LatencyFigure> latencies;
  double offered_per_s = 0;              // requests that were meant to be sent, a second
  std::optional<double> achieved_share;  // of the offered requests, those sent inside the window
  // Rates over the window. Tokens of requests that ended well count when they arrive inside it, wherever the request began.
  double completed_per_s = 0, output_tokens_per_s = 0;
  // Requests that met the objectives, and those that cannot be judged, which count as not met. Null without objectives, and
  // where none of the completed requests can be judged.
  std::optional<int64_t> met;
  int64_t unjudged = 0;
  std::optional<double> goodput_per_s;  // met / window
  std::optional<double> good_share;     // met / offered: failures, time-outs and the unfinished count against it
};

// Of the requests whose intended send lies in the window.
ServingFigures DescribeServing(std::span<const record::RequestRecord> requests, const Window& window,
                               const LatencyObjectives& objectives = {});

}  // namespace moecap::metrics
