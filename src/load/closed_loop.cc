#include "load/closed_loop.h"

#include <fmt/format.h>

namespace moecap::load {

Result<LoadResult> RunClosedLoop(SystemUnderTest& system, std::span<const RequestSpec> requests,
                                 const ClosedLoopOptions& options, const Clock& clock) {
  if (options.clients < 1) return BadInput(fmt::format("concurrency {} is not possible; use 1 or more", options.clients));
  SharedIndex next(requests.size());
  ClosedLoopSource source({.clients = options.clients, .all_clients = options.clients}, requests, next);
  return RunLoad(system, source, options, clock);
}

}  // namespace moecap::load
