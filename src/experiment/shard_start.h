// The common start of the shards of a load: a time that was given, or a meeting in a folder that all of them see.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "experiment/shard.h"
#include "hardware/clock_reading.h"

namespace moecap::experiment {

// Agreed between shards for one measurement.
struct SharedStart {
  int64_t wall_ns = 0;  // UTC; time 0 of the records of all of them
  hardware::ClockReading clock;
};

struct ShardStartOptions {
  Shard shard;
  std::filesystem::path folder;         // of the group; every shard sees the same one where it is needed
  std::optional<int64_t> start_at_ns;   // UTC, of the first measurement
  std::optional<double> start_every_s;  // with start_at_ns: each further one begins so much later; null = they meet for it
  double wait_s = 600;                  // for the other shards, at most
  double lead_s = 2;                    // between the meeting and the start; longer than the folder needs to show a new file
};

// Waits until all shards are ready for measurement `number` (from 0) and returns the start, which is to come: that given time,
// without looking for the others, or `lead_s` after the last one arrived. Errors: kFailed when the given time has passed, when
// a shard does not come in time or gave up, naming it; kInterrupted when `stop` (may be empty) says so.
Result<SharedStart> MeetForStart(const ShardStartOptions& options, int number, const std::function<bool()>& stop);

// Says that this shard has ended measurement `number`, or came too late for it, and waits until all have: what follows, an
// emptied prefix cache, a warm-up, the head-room, would disturb those that still measure. Returns who still did after
// `patience_s`, "shard 2/8"; empty = nobody, an interrupt, or a given time for which no shard looks for the others.
std::string LeaveTogether(const ShardStartOptions& options, int number, bool is_last, double patience_s,
                          const std::function<bool()>& stop);

// Of a shard that was started again: whether the others have begun a measurement, or agreed on its start, without it.
bool HasBegun(const ShardStartOptions& options, int number);

// Tells shards that wait for this one why it will not come.
void GiveUp(const ShardStartOptions& options, const std::string& why);
// Takes back what an earlier process of this shard told them: that it gave up, and that it waits for a start that is not set.
// Of the others no longer counts what made them give up before.
void ComeAfterAll(const ShardStartOptions& options);

}  // namespace moecap::experiment
