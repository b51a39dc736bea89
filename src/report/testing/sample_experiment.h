// Hand-made values for tests and tools: no measurement is behind them.
#pragma once

#include "cap/judgement.h"

namespace moecap::report {

// Three systems at three levels, five repetitions each: F16, Q8_0 and a server, of which one cell tripped a gate, with every
// kind of figure somewhere, verdicts, scores, a search and an interrupted measurement.
cap::JudgedExperiment SampleExperiment();

// One system at one level and hardly a figure, with names that markup, terminals and CSV must not act on.
cap::JudgedExperiment AwkwardExperiment();

// Two cells of two experiments that differ in their hardware.
cap::Comparison SampleComparison();

}  // namespace moecap::report
