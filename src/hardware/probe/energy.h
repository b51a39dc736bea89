// Energy counters of the processor: Linux powercap ("RAPL"), on Intel and AMD.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::hardware {

// Sums the counters of all processor packages and, where the machine has them, of its memory. Energy of fans, drives, power
// supply and accelerators is not in it. Not thread-safe.
class EnergyReader {
 public:
  // Errors: kFailed when the machine has no counters (most virtual machines) or they may not be read (root only by default),
  // with what to do; the caller then estimates from nameplates.
  static Result<EnergyReader> Open(const std::filesystem::path& root = "/");

  // Joules since Open. The counters wrap (at 262 kJ on many machines: after 17 minutes at 250 W); a wrap is seen when this is
  // called at least once in that time. Null when a counter can no longer be read.
  std::optional<double> JoulesSinceOpen();

  // "RAPL: package-0, package-1, dram"
  std::string Describe() const;

 private:
  struct Zone {
    std::string name;
    std::filesystem::path counter;
    uint64_t range_uj = 0;  // the counter goes from 0 to this and starts again
    uint64_t last_uj = 0;
  };

  std::vector<Zone> zones_;
  double joules_ = 0;
};

}  // namespace moecap::hardware
