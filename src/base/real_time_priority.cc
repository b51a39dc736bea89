#include "base/real_time_priority.h"

#include <sched.h>

namespace moecap {

RealTimePriority::RealTimePriority() {
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  sched_param lowest{};
  lowest.sched_priority = ::sched_get_priority_min(SCHED_RR);
  granted_ = ::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0;
}

RealTimePriority::~RealTimePriority() {
  if (!granted_) return;
  const sched_param ordinary{};
  ::sched_setscheduler(0, SCHED_OTHER, &ordinary);
}

}  // namespace moecap
