// Several measured systems, of one run or of several, compared figure by figure: what `moecap compare` shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cap/axis.h"
#include "cap/cap_scores.h"
#include "cap/decision_matrix.h"
#include "cap/robust_score.h"
#include "stats/bootstrap.h"

namespace moecap::cap {

// One axis as this comparison uses it.
struct ComparedAxis {
  AxisId axis = AxisId::kAccuracy;
  std::optional<AxisLimit> limit;  // anchor of the robust score; null: no limit known, so no robust score
};

enum class Verdict {
  kBaseline,
  kBetter,
  kWorse,
  kWithinNoise,  // the interval of the difference holds 0, or the difference is below the margin
  kNotKnown      // a value, or its noise, is not known
};
std::string VerdictName(Verdict verdict);  // "baseline", "better", "worse", "within noise", "not known"

// One system on one axis.
struct ComparedFigure {
  std::optional<double> value;
  std::optional<stats::Interval> interval;             // 95 %
  std::optional<double> difference;                    // to the baseline: value - baseline
  std::optional<stats::Interval> difference_interval;  // 95 %, paired by problem where both answered the same problems
  std::optional<double> relative_difference;           // difference / baseline; null for a baseline of 0
  std::optional<double> p_value;                       // accuracy only: exact McNemar test, or sign flips
  Verdict verdict = Verdict::kNotKnown;
  std::string noise;                   // where the interval comes from, or why there is none: "one repetition"
  std::optional<double> paper_score;   // cost, accuracy and performance axis only
  std::optional<double> robust_score;  // 0..100
};

struct ComparedSystem {
  std::string label;  // what the tables print: "F16", or "RUN/F16" where names repeat or there are several runs
  std::string run_id, system;
  std::string description, model_id, weight_type, host;
  int concurrency = 0;
  std::vector<std::string> invalid;     // validity gates; such a system has no figures
  std::vector<ComparedFigure> figures;  // one an axis of Comparison::axes
  CapScores scores;                     // paper's normalisation, class, support
  std::optional<bool> on_front;         // null: a value is not known
  std::vector<std::string> dominated_by;
  std::optional<double> hypervolume_share;  // 0..1 of the comparison's hypervolume: what only this system dominates
};

struct ComparedRun {
  std::string run_id, started_at, moecap_version, engine;
  std::string model, dataset, contract, hardware;  // identities, as far as the comparison checks them
  bool complete = true;
};

// A respect in which the runs differ.
struct Mismatch {
  std::string what;                 // "hardware", "model", "dataset", "contract"
  std::vector<std::string> values;  // one a run
  bool intended = false;            // named with --by; otherwise it was forced
};

// The front in two of the three dimensions.
struct PlaneFront {
  AxisId x = AxisId::kAccuracy;
  AxisId y = AxisId::kTpot;
  std::vector<std::string> systems;  // labels
  std::optional<double> area;        // between front and reference, in robust scores, share of the square [0, 100]^2
};

struct Comparison {
  std::vector<ComparedRun> runs;
  std::vector<Mismatch> mismatches;
  std::string scenario;
  AxisId cost = AxisId::kUsdPerMillionOutputTokens;
  AxisId performance = AxisId::kTpot;
  std::string normalisation;       // "paper" or "robust": the one that is drawn; both are given
  std::vector<ComparedAxis> axes;  // cost, accuracy, performance, then further ones
  size_t baseline = 0;             // index in systems
  std::vector<ComparedSystem> systems;
  int64_t resamples = 0;
  double margin_ratio = 1.05;  // ScoreOptions::meaningful_ratio
  // Between the systems and the reference point, a score of 0 on all three axes, in robust scores; share of the cube
  // [0, 100]^3. Null when no system has all three scores.
  std::optional<double> hypervolume;
  std::vector<PlaneFront> planes;  // cost and performance, cost and accuracy, accuracy and performance
  DecisionAdvice advice;
  std::vector<std::string> warnings;  // loud: forced mismatches, incomplete runs
  std::vector<std::string> notes;
};

}  // namespace moecap::cap
