// One experiment as a document: the judge's sentences and one table of figures first, everything else behind them.
#pragma once

#include "cap/judgement.h"
#include "report/document.h"

namespace moecap::report {

// Warnings come first: an experiment that is not complete, measurements that a gate spoiled. The headline is the judge's.
Document ExperimentDocument(const cap::JudgedExperiment& experiment);

}  // namespace moecap::report
