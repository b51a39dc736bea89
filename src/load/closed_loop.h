// Closed-loop load: `clients` users, each sending its next request the moment the last one ended, so that exactly `clients`
// requests are in flight until the requests run out.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/system_under_test.h"

namespace moecap::load {

class EventLogWriter;

struct ClosedLoopOptions {
  int clients = 1;                                // >= 1
  record::CellId cell;                            // stamped into every record
  std::function<bool()> stop_requested;           // polled between steps; may be empty
  std::function<void(int64_t done)> on_progress;  // finished requests so far; may be empty
  std::optional<int64_t> origin_ns;               // time 0 of the records; null = when RunClosedLoop is called
  EventLogWriter* events = nullptr;               // gets everything as it happens; may be null
};

struct LoadResult {
  // In the order of `requests`. When interrupted, those in flight have finish == kCancelled and those never sent are absent.
  std::vector<record::RequestRecord> requests;
  std::vector<record::PassRecord> passes;  // in order of execution
  bool interrupted = false;
  int64_t held_back = 0;  // open loop: requests that waited because most_in_flight was reached
};

// Sends each request once, in order. Errors: Validate's, or the system's failure. A failed request is data, not an error.
Result<LoadResult> RunClosedLoop(SystemUnderTest& system, std::span<const RequestSpec> requests,
                                 const ClosedLoopOptions& options, const Clock& clock);

}  // namespace moecap::load
