// Programs out of answers, run in the sandbox.
#pragma once

#include "accuracy/contract.h"
#include "base/result.h"

namespace moecap::app {

// Runs Python programs fenced off (sandbox/sandbox.h), after one of its own that shows that this works here. Error: kBadInput
// with the reason where it does not.
Result<accuracy::ProgramRunner> MakeCodeRunner();

}  // namespace moecap::app
