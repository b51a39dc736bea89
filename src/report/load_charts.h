// The charts of a load test. A chart without data is left out.
#pragma once

#include <vector>

#include "metrics/load_summary.h"
#include "report/charts.h"

namespace moecap::report {

// "load-ttft", "load-itl": percentiles of each cell (of the first six).
std::vector<Chart> LoadDistributionCharts(const metrics::LoadTestSummary& summary, SvgMode mode);

// "load-concurrency-I": requests in flight over time of cell I, with its steady part shaded; of the first twelve cells.
std::vector<Chart> LoadConcurrencyCharts(const metrics::LoadTestSummary& summary, SvgMode mode);

// "load-throughput-speed" (Pareto), "load-ttft-by-load", "load-tpot-by-load"; none with fewer than two loads.
std::vector<Chart> LoadSweepCharts(const metrics::LoadTestSummary& summary, SvgMode mode);

}  // namespace moecap::report
