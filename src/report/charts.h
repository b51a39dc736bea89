// The charts of a run, as SVG. A chart without data is left out.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "report/svg.h"

namespace moecap::report {

struct Chart {
  std::string name;  // "cap-radar", "throughput", "expert-share-0": unique in a page and good as a file name
  std::string svg;
  std::string reading;  // one line generated from the figures; may be empty
  size_t system = 0;    // the system that an expert chart is about
};

// "cap-radar"; empty when no system has a score.
std::vector<Chart> RadarCharts(const cap::RunSummary& summary, SvgMode mode);

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
