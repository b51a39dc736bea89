// How many requests a launch lets run at once, whatever memory would hold: --max-num-seqs of vLLM, --max-running-requests of
// SGLang, max_batch_size of TensorRT-LLM, --parallel of llama-server.
#pragma once

#include <optional>
#include <string>

#include "planner/multipliers.h"
#include "planner/serving.h"
#include "planner/system_support.h"

namespace moecap::planner {

// Sequences of one replica that `memory` has room for on devices that give out `usable_bytes`: MemoryPlan::MostSequences, but
// for a system that keeps several recurrent states of a request of a hybrid model as long as its cache of prefixes is on, which
// prefix hits need.
double RoomOf(const SystemRelease* system, MemoryPlan memory, double usable_bytes, const Load& load);

// What the system lets run in one replica when its launch does not say, beside `memory` on devices that give out
// `usable_bytes`. A system with a pool of its own for recurrent state runs no more requests of a hybrid model than that pool or
// the rest of the memory beside the weights holds; at least 1. kNoRunningLimit: nothing is known of it (`system` may be null).
double DefaultRunningLimit(const SystemRelease* system, const hardware::Device& device, const MemoryPlan& memory,
                           double usable_bytes);

// Memory for recurrent states over memory for caches with which as many requests have room for the one as for the other; 0
// where no pool of states makes `default_running` what it is.
double StateRatioOf(const SystemRelease* system, const MemoryPlan& memory, double default_running);

// Of a hybrid model on a system with a pool for recurrent states: that more are planned to run in a replica than its default
// launch has states for, and what lets them. "": there is nothing to say. `system`: null = nothing is known of it.
std::string StatesNote(const SystemRelease* system, const MemoryPlan& memory, double default_running, double planned,
                       const Load& load);

// Of one replica: `max_running` where the question says it, the system's default of a launch with default settings, and no
// limit of others, which are started with as many as are planned; no more than the system can run at once, however started.
double RunningLimitOf(const SystemRelease* system, const std::optional<double>& max_running, Launch launch,
                      double default_limit);

}  // namespace moecap::planner
