// Whether a measurement had the machine to itself. Bounds and how they were chosen: docs/metrics.md, "A quiet machine".
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "hardware/machine_use.h"
#include "metrics/gate.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// Sum of the latencies of decode passes over what they would be at the median of equal-shaped ones: 1 on a quiet machine, more
// when some passes took far longer than others of their kind. Equal-shaped: the same number of sequences; their context may
// grow from pass to pass. Only shapes with at least ten passes count; null when there is none. Warm-up passes do not count.
std::optional<double> DecodeIrregularity(std::span<const record::PassRecord> passes);

// For an engine in this process whose `threads` threads all compute, or wait spinning, while a pass runs; 0: its passes run on
// GPUs, and one thread waits for them. `use` spans the measurement that recorded `passes`. In this order: CPU time that the
// passes lacked, others' share, steal, throttling, involuntary switches, irregular passes.
std::vector<Gate> InProcessQuietGates(const hardware::MachineUse& use, int threads, std::span<const record::PassRecord> passes);

// For the client of a server. With `shares_machine` (a server on this machine) the server's own work cannot be told from
// other programs': instead of their share, how full the CPUs are is judged.
std::vector<Gate> ClientQuietGates(const hardware::MachineUse& use, bool shares_machine);

}  // namespace moecap::metrics
