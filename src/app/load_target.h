// A server over HTTP as the target of a load test.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "loadtest/target.h"
#include "run/config.h"

namespace moecap::app {

// `clock` must outlive the target. Errors: ConnectServer's.
Result<std::unique_ptr<loadtest::Target>> MakeLoadTarget(const run::ServerConfig& server, const Clock& clock);

}  // namespace moecap::app
