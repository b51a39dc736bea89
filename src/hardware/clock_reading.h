// What a machine knows of its wall clock: a value. hardware/probe/clock_probe.h reads it.
#pragma once

#include <optional>
#include <string>

namespace moecap::hardware {

// Two readings with the same boot id come from one kernel, so from one clock.
struct ClockReading {
  std::string boot_id;                   // of the running kernel; empty = not told
  std::optional<double> max_error_s;     // from UTC at most, as the time daemon tells the kernel; null = not synchronised
  std::optional<double> offset_s;        // how far it is behind the clock that stamps files of a shared folder; null = not read
  std::optional<double> offset_error_s;  // of the offset, at most
};

// How far the two clocks may differ at most: 0 on one machine; else the better of both bounds. Null = nothing is known.
std::optional<double> MostDifferenceOf(const ClockReading& a, const ClockReading& b);

}  // namespace moecap::hardware
