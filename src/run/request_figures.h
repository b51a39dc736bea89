// What one request and one repetition took; docs/metrics.md defines the latencies. Null or left out: the request did not end
// well, or generated too little.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "cap/axis.h"
#include "record/request_record.h"

namespace moecap::run {

// Ended well and generated a token.
bool Counts(const record::RequestRecord& request);
std::optional<double> TtftOf(const record::RequestRecord& request);
std::optional<double> TpotOf(const record::RequestRecord& request);  // null for a single token too
std::optional<double> E2eOf(const record::RequestRecord& request);

// Every limit that is set is kept; a latency that the request does not have keeps it.
bool Keeps(const record::RequestRecord& request, const cap::ServiceLevel& level);

// What finished in one repetition, between its first send and its last token: ramp-up and drain included.
struct RepeatTotals {
  double first_send_s = 0, last_token_s = 0;
  double input_tokens = 0, output_tokens = 0, requests = 0;
  double good_requests = 0;  // that kept the service level

  double Seconds() const { return requests > 0 ? last_token_s - first_send_s : 0; }
};

// By repetition.
std::map<int, RepeatTotals> TotalsByRepeat(std::span<const record::RequestRecord* const> requests,
                                           const cap::ServiceLevel& level);

}  // namespace moecap::run
