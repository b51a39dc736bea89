// Open-loop load of a planned list of requests on one thread.
#pragma once

#include <span>

#include "load/load_loop.h"

namespace moecap::load {

using OpenLoopOptions = LoadOptions;

// Sends each request once, at its time, in order (ScheduleSource). Errors: RunLoad's; kBadInput when the times do not ascend.
Result<LoadResult> RunOpenLoop(SystemUnderTest& system, std::span<const PlannedRequest> plan, const OpenLoopOptions& options,
                               const Clock& clock);

}  // namespace moecap::load
