// Our own stored runs beside what the planner predicts for them.
#pragma once

#include <string>

#include "hardware/catalogue.h"
#include "planner/multipliers.h"

namespace moecap::bench {

// Prints every closed-loop level of the runs of `folder` as a row of its own, and the errors of each system on each device.
Status PrintOwnRuns(const std::string& folder, const planner::Multipliers& multipliers, const hardware::Catalogue& devices);

}  // namespace moecap::bench
