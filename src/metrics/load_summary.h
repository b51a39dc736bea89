// What one measurement's requests tell beside the plain figures: distributions, the steady part, requests in flight, errors.
// Null (nullopt) means not measured or not applicable, never 0.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "metrics/concurrency.h"
#include "metrics/gate.h"
#include "metrics/latency.h"
#include "record/request_record.h"

namespace moecap::metrics {

struct ErrorGroup {
  record::RequestError kind = record::RequestError::kNone;
  int64_t count = 0;
  double first_s = 0, last_s = 0;     // send times of the first and last of them
  std::vector<std::string> messages;  // the first five different ones
};

struct TokenSourceCount {
  record::TokensSource source = record::TokensSource::kTokenIds;
  int64_t requests = 0;
};

struct TimingGapCount {
  record::TimingGap gap = record::TimingGap::kNone;
  int64_t requests = 0;
};

// What a server did otherwise than its interface says, though the answer could be read.
struct QuirkCount {
  std::string quirk;
  int64_t requests = 0;
};

struct LoadFigures {
  ServingFigures whole;                            // from the first intended send to the last token
  std::optional<SteadyState> steady;               // null for a measurement without duration
  std::optional<ServingFigures> in_steady;         // over the steady window; null without one
  ConcurrencyFigures concurrency;                  // over the whole measurement
  std::vector<ConcurrencyStep> concurrency_curve;  // thinned to at most 400 steps
  std::optional<LatencyFigure> receive_delay_s;    // from the kernel's receive stamp to ours; null where not offered
  std::vector<ErrorGroup> errors;                  // most frequent first; what the client gave up is not among them
  std::vector<TokenSourceCount> token_sources;     // how output tokens were counted
  std::vector<TimingGapCount> timing_gaps;         // of those completed, why their tokens have no times; without kNone
  std::vector<QuirkCount> quirks;                  // the twenty most frequent
  int64_t retries = 0;
  int64_t held_back = 0;  // open loop: requests that waited because the limit of requests in flight was reached
};

// Everything that follows from the records alone; the caller adds receive delays and what was held back.
LoadFigures DescribeLoad(std::span<const record::RequestRecord> requests, const LatencyObjectives& objectives);

}  // namespace moecap::metrics
