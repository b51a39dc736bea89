// Wires servers reached over HTTP to experiment/'s driver interface.
#pragma once

#include "base/clock.h"
#include "experiment/driver.h"

namespace moecap::app {

// A factory for systems with a `server`. Asks the server what it is. `clock` must outlive it.
experiment::DriverFactory OpenAiDriverFactory(const Clock& clock);

}  // namespace moecap::app
