// How good this machine's wall clock is.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "hardware/clock_reading.h"

namespace moecap::hardware {

// How far it is from UTC at most, as the time daemon tells the kernel; null = not synchronised.
std::optional<double> WallClockErrorS();

// What the kernel says, and the offset against the clock that stamps files in `folder` (on a network file system the server's):
// a file `name` is written there and removed a few times. What cannot be read stays null.
ClockReading ReadClock(const std::filesystem::path& folder, const std::string& name);

}  // namespace moecap::hardware
