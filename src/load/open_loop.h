// Open-loop load: requests go out at times that were fixed before, whatever the server does, as users do who know nothing of
// each other.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "load/closed_loop.h"

namespace moecap::load {

struct OpenLoopOptions {
  // Requests in flight at most; 0 = no limit. A limit that is ever reached makes the load partly closed: requests wait, their
  // intended times tell how long, and LoadResult::held_back counts them.
  int64_t most_in_flight = 0;
  // Time given to requests in flight after the last one was sent; what then runs is cancelled. Null = until all have ended.
  std::optional<double> drain_s;
  std::optional<int64_t> origin_ns;  // time 0 of the schedule; null = when RunOpenLoop is called
  record::CellId cell;
  std::function<bool()> stop_requested;           // polled between steps; may be empty
  std::function<void(int64_t done)> on_progress;  // finished requests so far; may be empty
  EventLogWriter* events = nullptr;               // gets everything as it happens; may be null
};

struct PlannedRequest {
  const RequestSpec* spec = nullptr;
  double at_s = 0;                       // when it is meant to be sent
  std::optional<double> cancel_after_s;  // the user gives up so long after the send, if it has not ended
};

// Sends each request once, at its time, in order. Errors: kBadInput when the times do not ascend; Validate's; the system's
// failure. A failed or cancelled request is data, not an error.
Result<LoadResult> RunOpenLoop(SystemUnderTest& system, std::span<const PlannedRequest> plan, const OpenLoopOptions& options,
                               const Clock& clock);

}  // namespace moecap::load
