// Cells of stored experiments side by side: which may be compared, at which level, and what is said of them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/judge.h"
#include "base/result.h"
#include "cap/judgement.h"
#include "experiment/results.h"
#include "metrics/latency.h"

namespace moecap::analysis {

// "RUN", "RUN:SYSTEM", "RUN:SYSTEM@8" or "RUN@8": a run, one of its systems, a level.
struct CellName {
  std::string run;
  std::string system;           // empty: all
  std::optional<double> level;  // null: as the view says
};
// The run's part ends at the first ':', the level begins at the last '@' that a number follows.
CellName ParseCellName(const std::string& text);

struct StoredExperiment {
  std::string given;            // how the user named the run
  std::vector<CellName> cells;  // of this run that were named; one without system or level stands for all
  experiment::Manifest manifest;
  cap::ExperimentSummary summary;
};

// Summarises a stored run by `summarize`. Objectives that are set replace those of the experiment's configuration.
Result<StoredExperiment> ReadStored(experiment::Results results, const std::string& given, std::vector<CellName> cells,
                                    const metrics::LatencyObjectives& objectives = {},
                                    const Summarizer& summarize = SummarizeStored);

struct CompareOptions {
  // What is not set is taken from the configuration where one experiment alone is looked at, else from the scenario.
  cap::ViewChoice choice;
  std::vector<std::string> systems;  // compare these only; empty: all
  std::string baseline;              // "RUN", "RUN:SYSTEM", "SYSTEM", or a cell's label; empty: the first cell
  std::vector<std::string> by;       // respects in which the experiments are meant to differ: MismatchNames()
  bool force = false;                // compare in spite of other differences, and say so in the result's warnings
  JudgeChoice judge;
};

// "hardware", "model", "dataset", "contract", "workload".
std::vector<std::string> MismatchNames();

// Systems that were not measured at the level are left out, with a warning. What is not known of a system (the machine or the
// model of a server that does not tell) is not compared, with a warning, too. Errors: kBadInput for no experiment, one given
// twice, an unknown system, baseline or level, goodput without objectives, and for experiments that differ where they must not,
// naming what differs and the flag that helps.
Result<cap::Comparison> Compare(std::span<const StoredExperiment> experiments, const CompareOptions& options = {});

}  // namespace moecap::analysis
