// Hand-made summaries for the tests of this folder.
#pragma once

#include "cap/summary.h"

namespace moecap::report {

// Three quantisations of one MoE model at concurrency 1, 4 and 16, everything known and valid.
cap::RunSummary SampleSummary();

// An MoE system with missing figures and one invalid cell beside a dense one, on an unknown device, interrupted; names full of
// characters that need escaping.
cap::RunSummary AwkwardSummary();

}  // namespace moecap::report
