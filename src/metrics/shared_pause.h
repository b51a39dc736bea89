// Pauses that all running streams share: the server stood still, which no mix of requests explains (a kernel compiled during
// the measurement, a collection of garbage, a machine that slept).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "metrics/gate.h"
#include "record/request_record.h"

namespace moecap::metrics {

struct SharedPause {
  double begin_s = 0, end_s = 0;  // the last token before it, the first one after it
  int64_t streams = 0;            // that had begun before and went on after it
};

struct SharedPauses {
  double bound_s = 0;  // shorter ones are none
  double share = 0;    // of the time from the first send to the last token
  std::vector<SharedPause> pauses;
};

// Intervals in which at least one stream was between its first and its last token and not one brought a token, longer than 10
// median gaps between tokens, a quarter of a second, and 3 median times to the first token (a server that computes a prompt
// alone stops the others for as long as that takes). Null with fewer than 10 gaps between tokens.
std::optional<SharedPauses> FindSharedPauses(std::span<const record::RequestRecord> requests);

// "pause of all streams": their share of the time, at most 1 %.
Gate SharedPauseGate(std::span<const record::RequestRecord> requests);

}  // namespace moecap::metrics
