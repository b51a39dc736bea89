#include "load/open_loop.h"

namespace moecap::load {

Result<LoadResult> RunOpenLoop(SystemUnderTest& system, std::span<const PlannedRequest> plan, const OpenLoopOptions& options,
                               const Clock& clock) {
  ASSIGN_OR_RETURN(ScheduleSource source, ScheduleSource::Create(plan));
  return RunLoad(system, source, options, clock);
}

}  // namespace moecap::load
