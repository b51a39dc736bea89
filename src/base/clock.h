// Time that passes. Measurements use one injected steady clock; wall_clock.h labels results.
#pragma once

#include <cstdint>

namespace moecap {

class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since an arbitrary origin; never goes back.
  virtual int64_t NowNs() const = 0;
  double NowS() const { return static_cast<double>(NowNs()) * 1e-9; }
};

// CLOCK_MONOTONIC. Thread-safe.
class SteadyClock final : public Clock {
 public:
  int64_t NowNs() const override;
};

// CPU time of the calling thread, user and system, in nanoseconds.
int64_t ThreadCpuNs();

// A clock that tests move by hand.
class FakeClock final : public Clock {
 public:
  int64_t NowNs() const override { return now_ns_; }
  void AdvanceNs(int64_t delta_ns) { now_ns_ += delta_ns; }

 private:
  int64_t now_ns_ = 0;
};

}  // namespace moecap
