// What the requests of an experiment tell: latency, errors, the steady part, gates, measurements, the search. Internal to
// report/.
#pragma once

#include <span>

#include "cap/summary.h"
#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

Section LatencySection(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells);
Section RequestSection(std::span<const ShownCell> cells);
// Whether latencies drift, and requests in flight over time.
Section SteadySection(std::span<const ShownCell> cells);
Section GateSection(std::span<const ShownCell> cells);
// Every measurement in the order in which they were made, those that were interrupted included.
Section MeasurementSection(std::span<const ShownCell> cells);
Section SearchSection(const cap::ExperimentSummary& summary);

}  // namespace moecap::report
