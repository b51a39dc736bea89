// What the system grants this process besides processors and memory: clocks, files, threads. Values; judging them is the
// caller's work.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.h"

namespace moecap::hardware {

struct ClockState {
  std::string source;    // what the kernel counts time with: "tsc", "kvm-clock", "hpet"; empty = not told
  double read_s = 0;     // one reading of the given clock, mean over many
  std::string governor;  // of the first processor's frequency: "performance", "powersave"; empty = not told
};

// Reads below `root`, and `clock` about ten thousand times (a millisecond). Never fails.
ClockState ReadClockState(const Clock& clock, const std::filesystem::path& root = "/");

// Null = no limit, or not told.
struct ProcessLimits {
  std::optional<double> open_files;           // as far as this process may raise it
  std::optional<double> threads;              // of this user, this control group or the whole system, whichever is tightest
  std::optional<double> locked_memory_bytes;  // what may be kept from being swapped
};

// The limits of the calling process; the kernel's and the control group's below `root`. Never fails.
ProcessLimits ReadProcessLimits(const std::filesystem::path& root = "/");

}  // namespace moecap::hardware
