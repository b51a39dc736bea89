// The charts of a run, as SVG. A chart without data is left out.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "report/plot_table.h"
#include "report/svg.h"

namespace moecap::report {

struct Chart {
  std::string name;  // "cap-radar", "throughput", "expert-share-0": unique in a page and good as a file name
  std::string svg;
  std::string reading;  // one line generated from the figures; may be empty
  size_t system = 0;    // the system that an expert chart is about
  PlotTable table;      // the figures that are drawn
};

// "cap-radar" by the paper's scores, and "cap-radar-robust" where at least three axes have robust ones; a radar without a score
// is left out.
std::vector<Chart> RadarCharts(const cap::RunSummary& summary, SvgMode mode);

// "pareto-cost-accuracy", "pareto-performance-accuracy", "pareto-cost-performance": two of the CAP axes each at the concurrency
// of the scores, with the front in these two; none with fewer than two systems.
std::vector<Chart> ParetoCharts(const cap::RunSummary& summary, SvgMode mode);

// "roofline": decode and prefill of each system at the concurrency of the scores, under the ceilings of the run.
std::vector<Chart> RooflineCharts(const cap::RunSummary& summary, SvgMode mode);

// "accuracy", "cost", "tpot": bars at the concurrency of the CAP scores.
std::vector<Chart> BarCharts(const cap::RunSummary& summary, SvgMode mode);

// "throughput-by-concurrency", "tpot-by-concurrency", "bandwidth-use-by-concurrency", "distinct-experts-by-concurrency"; none
// when no system was measured at two concurrencies.
std::vector<Chart> CurveCharts(const cap::RunSummary& summary, SvgMode mode);

// "expert-share-I" for system I, with tokens routed to each expert relative to a uniform share; MoE systems with records only.
std::vector<Chart> ExpertCharts(const cap::RunSummary& summary, SvgMode mode);

// All of the above.
std::vector<Chart> AllCharts(const cap::RunSummary& summary, SvgMode mode);

}  // namespace moecap::report
