// Whether an interrupted experiment can be finished here.
#pragma once

#include <string>
#include <vector>

#include "experiment/results.h"

namespace moecap::experiment {

// What differs between the experiment as it began and as it would go on, one line each: host, engine, model files (size and
// hash), servers, data, configuration. Empty: it may go on.
std::vector<std::string> ChangesSince(const Manifest& stored, const Manifest& now);

}  // namespace moecap::experiment
