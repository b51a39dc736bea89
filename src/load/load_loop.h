// The loop of every load: sends what its source says is due, waits for what the system observes, keeps to the limits.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/load_result.h"
#include "load/source.h"
#include "load/system_under_test.h"

namespace moecap::load {

class EventLogWriter;

// Requests that ended, over all threads of a load.
struct LoadCounters {
  std::atomic<int64_t> ended{0};
  std::atomic<int64_t> failed{0};
};

// How far a load is, when a request ends and once a second while none does.
struct LoadProgress {
  int64_t ended = 0;
  int64_t waiting_for = 0;  // requests in flight when nothing has arrived for kStillS, else 0
  double waiting_s = 0;     // for how long
};
inline constexpr double kStillS = 5;

struct LoadOptions {
  record::CellId cell;  // stamped into every record
  // Time 0 of the schedule and of the records; null = when the loop is called. On threads, one to come is waited for.
  std::optional<int64_t> origin_ns;
  std::optional<double> duration_s;  // nothing is sent later than so long after the origin
  // Time given to requests in flight after the last one was sent, or after the duration; what then runs is cancelled. Null =
  // until all have ended.
  std::optional<double> drain_s;
  // The load ends, and what is in flight is cancelled, when more than this share of the requests that ended have failed; judged
  // from 20 requests on. Null = never.
  std::optional<double> most_error_share;
  // Requests in flight at most; 0 = no limit. A limit that is ever reached makes an open loop partly closed: requests wait,
  // their intended times tell how long, and LoadResult::held_back counts them.
  int64_t most_in_flight = 0;
  std::function<bool()> stop_requested;                  // polled between steps; may be empty
  std::function<void(const LoadProgress&)> on_progress;  // may be empty
  bool ahead_of_others = false;      // its threads run at real-time priority, where the system lets them; LoadResult::ran_ahead
  EventLogWriter* events = nullptr;  // gets everything as it happens; may be null
  // Requests that ended, and receive delays, are left to `events`: LoadResult holds none of them, so that a load of hours needs
  // memory for what is in flight only.
  bool logged_only = false;
  LoadCounters* counters = nullptr;  // shared with other threads of the same load; null = this one is alone
};

// Errors: the system's Validate, for any request of the source, before anything is sent; the system's failure. A failed or
// cancelled request is data, not an error.
Result<LoadResult> RunLoad(SystemUnderTest& system, Source& source, const LoadOptions& options, const Clock& clock);

// One thread's part of a load.
struct LoadShard {
  SystemUnderTest* system = nullptr;
  Source* source = nullptr;
  EventLogWriter* events = nullptr;  // may be null
};

// The same on one thread a shard, with a common origin; records are joined in the order of their sends. `options.events` is not
// used. Progress is reported by the first shard's thread. The first failure stops all.
Result<LoadResult> RunLoadOnThreads(std::span<const LoadShard> shards, const LoadOptions& options, const Clock& clock);

// The parts of several threads as one, `parts` not empty; its records in the order of their sends.
LoadResult JoinParts(std::vector<LoadResult> parts);

}  // namespace moecap::load
