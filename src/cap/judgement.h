// What the judge says of the systems of one experiment, or of cells from several stored ones, with what it was asked: the value
// types behind every report. Filled by analysis/; rendered by report/, which judges nothing.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cap/evidence.h"
#include "cap/paper_scores.h"
#include "cap/scenario.h"
#include "cap/summary.h"
#include "cap/verdict.h"

namespace moecap::cap {

// What no system can pass, or what the device catalogue ends at: how far a figure is from it says how much is left.
struct FigureLimit {
  FigureId figure = FigureId::kTpotMean;
  double value = 0;    // > 0, in the figure's unit
  std::string source;  // how it follows from model and catalogue, with the numbers
};

struct Judgement {
  View view;                       // which figures stand for cost and performance
  std::string level;               // where the systems meet: "16 clients"; empty where they were measured at different ones
  JudgeOptions options;            // margins, confidence
  std::vector<Evidence> evidence;  // one a system in view, in their order
  Verdicts verdicts;               // of the same
  std::optional<std::vector<PaperScore>> paper_scores;  // null for fewer than two systems
  std::vector<FigureLimit> limits;                      // of the figures in view; those that are known
};

struct JudgedExperiment {
  ExperimentSummary summary;
  // Of all systems that have a cell at the judged level, in the order of the configuration; Evidence::label is the system's
  // name.
  Judgement judgement;
};

// One of the experiments that are compared.
struct ComparedExperiment {
  std::string run_id, started_at, moecap_version;
  std::string model, dataset, contract, workload, hardware;  // identities, as far as the comparison checks them
  bool complete = true;
};

// A respect in which the experiments differ.
struct Mismatch {
  std::string what;                 // "hardware", "model", "dataset", "contract", "workload"
  std::vector<std::string> values;  // one an experiment
  bool intended = false;            // named with --by; otherwise it was forced
};

// One system at one level, of one of the experiments.
struct ComparedCell {
  std::string label;      // unique: "F16", "RUN/F16" where names repeat, "F16 at 8 clients" where levels differ
  size_t experiment = 0;  // index of Comparison::experiments
  SystemSummary system;   // its `cells` holds the compared cell alone
  const CellSummary& cell() const { return system.cells.front(); }
};

struct Comparison {
  std::vector<ComparedExperiment> experiments;
  std::vector<Mismatch> mismatches;
  std::vector<std::string> warnings;  // a sentence each
  std::vector<ComparedCell> cells;
  size_t baseline = 0;  // index of `cells`
  Judgement judgement;  // of the same cells in the same order
};

}  // namespace moecap::cap
