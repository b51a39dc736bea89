// From the stored facts of an experiment to its figures. The same facts give the same figures, when they are measured and ever
// after. Nothing is compared or judged here: analysis/ does that.
#pragma once

#include "base/result.h"
#include "cap/summary.h"
#include "experiment/results.h"

namespace moecap::experiment {

// Reads the facts of each measurement. Errors: those of reading the files.
Result<cap::ExperimentSummary> Summarize(const Results& results);

}  // namespace moecap::experiment
