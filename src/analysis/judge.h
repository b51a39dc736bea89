// From the figures of an experiment to what is said of its systems: which cells meet, as what they are judged, how far they are
// from the limits. The statistics are cap::Judge's.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/imported.h"
#include "base/result.h"
#include "cap/judgement.h"
#include "experiment/results.h"
#include "model/model_spec.h"
#include "record/level.h"

namespace moecap::analysis {

struct JudgeChoice {
  bool include_invalid = false;  // cells in which a gate tripped decide like others
  bool price_by_memory = false;  // as the key of the configuration: price each system by the memory that it needs
};
// Whether the choice or the configuration says so.
bool PricesByMemory(const JudgeChoice& choice, const experiment::Config& config);

// A cell in view.
struct ViewedCell {
  std::string label;                           // unique in view
  std::string experiment;                      // run id
  const cap::SystemSummary* system = nullptr;  // must outlive the call, as the next ones
  const cap::CellSummary* cell = nullptr;
  const model::ModelSpec* model = nullptr;  // without layers where a server does not tell; may be null
};

// What the judge looks at. Repetitions that are not whole, and without `include_invalid` those in which a gate tripped, are
// null.
cap::Evidence EvidenceOf(const ViewedCell& viewed, const cap::View& view, bool include_invalid);

// Evidence, verdicts, scores and limits of cells in view. `level`: where they meet, in words; empty: at different ones.
cap::Judgement JudgeCells(std::span<const ViewedCell> cells, const cap::View& view, const experiment::JudgeConfig& margins,
                          const std::string& level, bool include_invalid);

// The level at which systems meet: where most of them, all if possible, have a valid cell; of such levels where most have a
// whole one; of those the highest or lowest, as the view says. Null when nothing whole was measured. View::level is not looked
// at.
std::optional<record::Level> MeetingLevel(std::span<const cap::SystemSummary* const> systems, const cap::View& view,
                                          bool include_invalid);

// The cell in which a system is seen: at `level`; of a search that was asked for no level, at the highest that passed. Null
// when there is none with a whole measurement.
const cap::CellSummary* CellAt(const cap::SystemSummary& system, const record::Level& level);
const cap::CellSummary* PassingCell(const cap::SystemSummary& system);

// `manifest`: of the experiment that `summary` sums up; its configuration says what is judged (cap:) and how (margins).
cap::JudgedExperiment JudgeExperiment(cap::ExperimentSummary summary, const experiment::Manifest& manifest,
                                      const JudgeChoice& choice = {});

// The figures of a stored run. Of one that holds its facts: experiment::Summarize.
using Summarizer = std::function<Result<cap::ExperimentSummary>(const experiment::Results& results)>;

// The stored experiment, summarised and judged. Errors: those of `summarize`.
Result<cap::JudgedExperiment> JudgeStored(const experiment::Results& results, const JudgeChoice& choice = {},
                                          const Summarizer& summarize = SummarizeStored);

}  // namespace moecap::analysis
