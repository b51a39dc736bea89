// One pair of systems, dimension by dimension. Internal to cap/.
#pragma once

#include <span>
#include <vector>

#include "cap/evidence.h"
#include "cap/verdict.h"

namespace moecap::cap {

bool HigherIsBetter(Dimension dimension, const JudgeOptions& options);
// The figure that is shown; null: not known, not finite, or not positive (cost and performance).
std::optional<double> FigureOf(const Evidence& evidence, Dimension dimension);
// Takes part in verdicts: no gate tripped, or it does not matter.
bool TakesPart(const Evidence& evidence, const JudgeOptions& options);

// Every unordered pair, with holds_over_all set.
std::vector<PairVerdict> JudgePairs(std::span<const Evidence> systems, const JudgeOptions& options);

DimensionVerdict Reversed(DimensionVerdict verdict);

// How far the first is ahead, in steps of the margin's scale: the logarithm of a ratio, or a difference; > 0 where it is
// better.
double LeadOf(const DimensionVerdict& verdict, const JudgeOptions& options);
double LeadMargin(Dimension dimension, const JudgeOptions& options);

}  // namespace moecap::cap
