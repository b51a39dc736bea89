// Wires servers reached over HTTP to experiment/'s driver interface.
#pragma once

#include "app/launched_server.h"
#include "base/clock.h"
#include "experiment/driver.h"

namespace moecap::app {

// A factory for systems with a `server`. Starts it where the configuration says how, and asks it what it is. `room` and `clock`
// must outlive the drivers.
experiment::DriverFactory OpenAiDriverFactory(LaunchRoom& room, const Clock& clock);

}  // namespace moecap::app
