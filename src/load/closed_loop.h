// Closed-loop load of a list of requests on one thread.
#pragma once

#include <span>

#include "load/load_loop.h"

namespace moecap::load {

struct ClosedLoopOptions : LoadOptions {
  int clients = 1;  // >= 1
};

// Sends each request once, in order, with exactly `clients` in flight (ClosedLoopSource). Errors: RunLoad's.
Result<LoadResult> RunClosedLoop(SystemUnderTest& system, std::span<const RequestSpec> requests,
                                 const ClosedLoopOptions& options, const Clock& clock);

}  // namespace moecap::load
