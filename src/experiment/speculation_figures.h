// What a cell's passes tell of drafts and their verification. Internal to experiment/.
#pragma once

#include <span>
#include <vector>

#include "cap/summary.h"
#include "experiment/config.h"
#include "record/pass_record.h"

namespace moecap::experiment {

// Acceptance, and tokens a sequence and decode pass; none where the passes tell no drafts.
void FillSpeculation(std::span<const record::PassRecord> passes, cap::FigureValues& figures);

// The speed-up of each system with speculation at each level, over the first system of the experiment that differs from it in
// nothing else of what `systems` says: its mean time per output token after the first, over that of the other.
void FillSpeedUps(const Config& config, std::vector<cap::SystemSummary>& systems);

}  // namespace moecap::experiment
