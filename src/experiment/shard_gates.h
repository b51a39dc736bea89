// Whether the shards of a load made it together. Bounds and reasons: docs/load.md, "Shards".
#pragma once

#include <vector>

#include "experiment/results.h"
#include "metrics/gate.h"

namespace moecap::experiment {

inline constexpr const char* kAllShardsGate = "shards of the load";

// Empty for a load that one client made. `window_s`: how long was measured.
std::vector<metrics::Gate> JudgeShards(const Measurement& measurement, double window_s);

// What each machine of the clients did: of several shards on one machine one entry, in which all of them are its own.
std::vector<hardware::MachineUse> ClientMachines(const Measurement& measurement);

}  // namespace moecap::experiment
