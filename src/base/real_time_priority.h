// A thread that must answer at once what the kernel has for it, although servers keep every CPU of the same machine busy.
#pragma once

namespace moecap {

// While it lives, the calling thread runs before every thread of ordinary priority (SCHED_RR, lowest level), where the system
// lets it: root, CAP_SYS_NICE or a limit on RLIMIT_RTPRIO. Threads it starts do not inherit that. Only for threads that sleep
// when they have nothing to do.
class RealTimePriority {
 public:
  RealTimePriority();
  ~RealTimePriority();
  RealTimePriority(const RealTimePriority&) = delete;
  RealTimePriority& operator=(const RealTimePriority&) = delete;

  bool granted() const { return granted_; }

 private:
  bool granted_ = false;
};

}  // namespace moecap
