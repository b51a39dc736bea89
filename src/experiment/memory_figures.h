// What a system keeps in memory and what it reads from disk instead, from its passes. Internal to experiment/.
#pragma once

#include <optional>
#include <span>

#include "cap/figures.h"
#include "experiment/results.h"
#include "metrics/utilization.h"
#include "record/pass_record.h"

namespace moecap::experiment {

// KV cache, memory needed and its price (by the DRAM and disk prices of `system`), over the decode passes. Nothing without one.
void FillMemory(const PricedSystem& system, std::span<const record::PassRecord> passes, cap::FigureValues& figures);

// Hits, stalls and the disk's share, where experts are left on disk.
void FillExpertReads(const PricedSystem& system, std::span<const record::PassRecord> passes, cap::FigureValues& figures);

// Of experts in host memory beside a GPU: how much lies there, which `memory_bytes` then is without, and what each memory
// delivers in the decode passes. `host_bytes_per_s`: the host's measured bandwidth, null = not measured. After FillMemory.
void FillTiers(const PricedSystem& system, std::span<const record::PassRecord> passes, const metrics::Peaks& peaks,
               std::optional<double> host_bytes_per_s, cap::FigureValues& figures);

}  // namespace moecap::experiment
