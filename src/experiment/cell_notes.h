// What a reader of a cell must know beside its figures: sentences, and the figures that are estimates. Internal to experiment/.
#pragma once

#include <span>

#include "cap/summary.h"
#include "experiment/cell.h"
#include "record/pass_record.h"

namespace moecap::experiment {

// Of the measurements' answers to the control question those that are not the usual one.
struct Controls {
  double answers = 0, unequal = 0;
};

void NoteWarmUp(const CellContext& context, const Measurement& measurement, cap::CellSummary& cell);
void NoteControls(const Controls& controls, cap::CellSummary& cell);

void NoteBlurredGaps(cap::CellSummary& cell);

// Token counts that rest on a guess make everything per token one.
void NoteGuessedTokens(cap::CellSummary& cell);

// That the passes are the server's own record, and how far the reconstructed ones are like it; nothing where they are not.
void NoteRecorded(const CellContext& context, std::span<const record::PassRecord> passes,
                  std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell);

// Of a server that keeps no record of its passes everything that rests on them is an estimate, and it says on what. `passes`:
// not empty.
void NoteReconstructed(const CellContext& context, std::span<const record::PassRecord> passes,
                       std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell);
void NoteMissingPasses(std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell);

}  // namespace moecap::experiment
