// The plots of one experiment beside those of its verdicts (judgement_plots.h). Internal to report/.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "report/cell_table.h"
#include "report/document.h"

namespace moecap::report {

// "ttft", "itl": percentiles of at most six cells, the highest level of each system where there are several.
std::vector<Figure> DistributionFigures(std::span<const ShownCell> cells);

// "throughput-by-level", "time-per-token-by-level", "ttft-by-level", "tpot-by-level", and "throughput-speed": output tokens/s
// of the server against the speed of one request. None where no system was measured at two levels.
std::vector<Figure> SweepFigures(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells);

// "bandwidth-use-by-level", "distinct-experts-by-level", "expert-share-I".
std::vector<Figure> ExpertFigures(const cap::ExperimentSummary& summary, std::span<const ShownCell> cells);

// "expert-share-INDEX": how often each expert is used. `name`: of the system.
Figure ExpertShareFigure(const std::string& name, const std::vector<std::vector<double>>& share, size_t index);

// "roofline": decode and prefill of each system at its highest level, for systems with the same bandwidth ceiling. `compared`:
// each cell stands for itself and is called by its key.
std::vector<Figure> RooflineFigures(std::span<const ShownCell> cells, bool compared = false);

// "in-flight-INDEX": requests in flight over one measurement.
Figure InFlightFigure(const ShownCell& shown, const cap::MeasurementSummary& measurement, size_t index);

// "search-INDEX": the share that met the objectives at each probe, with its interval.
Figure SearchFigure(const cap::SearchSummary& search, size_t system);

}  // namespace moecap::report
