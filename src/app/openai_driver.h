// Wires servers reached over HTTP to run/'s driver interface.
#pragma once

#include "base/clock.h"
#include "run/system_driver.h"

namespace moecap::app {

// A factory for systems with a `server`. Asks the server what it is. `clock` must outlive it.
run::DriverFactory OpenAiDriverFactory(const Clock& clock);

}  // namespace moecap::app
