// The accuracy of a cell. Internal to experiment/.
#pragma once

#include <span>
#include <vector>

#include "cap/summary.h"
#include "experiment/cell.h"

namespace moecap::experiment {

// Problems in the order in which they first appear; the mean score over repetitions.
std::vector<cap::ProblemScore> ScoreProblems(std::span<const MeasuredFacts* const> whole);

// The mean over the problems by their parts, or over the benchmark's parts where these count alike.
void FillAccuracy(std::span<const cap::ProblemScore> items, cap::FigureValues& figures);

// Both of a cell, pass@k where the configuration says so, and what a reader must know: the scores of the parts, and how many
// answers are not judged.
void FillCellAccuracy(const CellContext& context, std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell);

}  // namespace moecap::experiment
