// Wires the embedded engine to run/'s driver interface.
#pragma once

#include "base/clock.h"
#include "run/system_driver.h"

namespace moecap::app {

// A factory for llama.cpp in this process. `clock` must outlive it. In a build without the engine (MOECAP_LLAMA=off) every call
// fails with the remedy.
run::DriverFactory LlamaCppDriverFactory(const Clock& clock);

}  // namespace moecap::app
