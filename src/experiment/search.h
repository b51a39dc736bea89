// The search for the highest load that keeps the objectives, over measurements. Internal to experiment/.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "experiment/results.h"
#include "load/slo_search.h"

namespace moecap::experiment {

// The search over stored measurements of one system; `measure` is called for a probe that is not stored, and may end it with an
// error.
Result<load::SloSearchResult> Search(const Results& results, const std::string& system,
                                     const std::function<Status(double level, int repeat)>& measure);

}  // namespace moecap::experiment
