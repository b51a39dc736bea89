// How many requests a launch lets run at once, whatever memory would hold: --max-num-seqs of vLLM, --max-running-requests of
// SGLang, max_batch_size of TensorRT-LLM, --parallel of llama-server.
#pragma once

#include <optional>

#include "planner/multipliers.h"
#include "planner/serving.h"
#include "planner/system_support.h"

namespace moecap::planner {

// What the system lets run in one replica when its launch does not say, beside `memory` on devices that give out
// `usable_bytes`. A system with a pool of its own for recurrent state runs no more requests of a hybrid model than that pool or
// the rest of the memory beside the weights holds; at least 1. kNoRunningLimit: nothing is known of it (`system` may be null).
double DefaultRunningLimit(const SystemRelease* system, const hardware::Device& device, const MemoryPlan& memory,
                           double usable_bytes);

// Of one replica: `max_running` where the question says it, the system's default of a launch with default settings, and no
// limit of others, which are started with as many as are planned.
double RunningLimitOf(const std::optional<double>& max_running, Launch launch, double default_limit);

}  // namespace moecap::planner
