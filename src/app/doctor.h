// What of the program works on this machine, and what would help where it does not. Looks and changes nothing: it starts no
// server, measures no ceiling and makes no folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace moecap::app {

enum class Health : uint8_t {
  kOk,
  kLimited,  // the program works, but something is less exact, or is not to be had
  kAbsent,   // this machine has no such thing, and needs none
  kBroken,   // runs will fail
};
// "ok", "limited", "absent", "broken".
std::string_view Name(Health health);

struct Finding {
  std::string_view what;  // "engine", "energy counters"
  Health health = Health::kOk;
  std::string found;   // one sentence without a full stop
  std::string remedy;  // likewise; empty where nothing is wrong
};

// In the order in which they are shown. Takes about a second: half of it watches what else the machine does.
std::vector<Finding> Examine(const std::filesystem::path& results_dir, const Clock& clock);

}  // namespace moecap::app
