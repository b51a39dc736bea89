// Wires the embedded engine to experiment/'s driver interface.
#pragma once

#include "base/clock.h"
#include "experiment/driver.h"

namespace moecap::app {

// A factory for llama.cpp in this process. `clock` must outlive it. In a build without the engine (MOECAP_LLAMA=off) every call
// fails with the remedy.
experiment::DriverFactory LlamaCppDriverFactory(const Clock& clock);

}  // namespace moecap::app
