// Sentences about a run, generated from its figures; the same in every format. A sentence whose figures are not known is empty.
// Only cells that passed their validity gates are read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cap/summary.h"
#include "report/format.h"
#include "report/plots.h"

namespace moecap::report {

// Label and text: run, data set, engine, host, ceilings, power.
std::vector<std::pair<std::string, std::string>> DescribeRun(const cap::RunSummary& summary);

std::string IncompleteWarning();

// "optimises performance and accuracy, gives up cost"
std::string ClassMeaning(cap::CapClass value);

// The reason of the class without the class in front of it, as a sentence; empty when there is none.
std::string CapReason(const cap::CapScores& scores);

// How sure the class is: "The class holds in 97.2 % of 2000 resamples ...; else PA 2.8 %." Empty when that is not known.
std::string ClassSupport(const cap::CapScores& scores, int64_t resamples);

// "goodput counts the requests that kept ..."; empty without a service level.
std::string ServiceLevelNote(const cap::ServiceLevel& level);

// Which way of paying the cost figures rest on, and from which utilisation on owning is cheaper; a sentence each.
std::vector<std::string> CostNotes(const cap::RunSummary& summary);

// What the scores of the radar stand for.
std::string CapScaleNote(const cap::RunSummary& summary);

// What S-MBU, "paper" and MBU mean, a line each.
std::vector<std::string> ConventionNotes();

// Who wins what at the concurrency of the CAP scores: a headline, then one sentence a criterion.
struct Verdict {
  std::string headline;
  std::vector<std::string> findings;
};
Verdict MakeVerdict(const cap::RunSummary& summary);

// One-line readings of the charts.
std::string ReadRadar(const cap::RunSummary& summary);
std::string ReadRobustRadar(const cap::RunSummary& summary);
std::string ReadPareto(const ParetoPlot& plot);
std::string ReadRoofline(const RooflinePlot& plot);
std::string ReadHardwareMap(const HardwareMap& map);
std::string ReadSparsityCurve(const SparsityCurve& curve);
std::string ReadCostBars(const cap::RunSummary& summary);
std::string ReadTpotBars(const cap::RunSummary& summary);
std::string ReadThroughput(const cap::RunSummary& summary);
std::string ReadTpot(const cap::RunSummary& summary);
std::string ReadUtilization(const cap::RunSummary& summary);
std::string ReadDistinctExperts(const cap::RunSummary& summary);
std::string ReadAccuracy(const cap::RunSummary& summary);
std::string ReadExpertShare(const cap::SystemSummary& system);

}  // namespace moecap::report
