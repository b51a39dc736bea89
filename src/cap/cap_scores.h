// The CAP radar and the class of each system: what it optimises and what it gives up (MoE-CAP, sections 1 and 3).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/axis.h"

namespace moecap::cap {

// What one system brings to the radar. Null = not known; such a system gets no score on that axis.
struct CapInput {
  std::string system;
  std::optional<double> cost;      // lower is better; unit of ScoreOptions::cost_axis
  std::optional<double> accuracy;  // 0..1
  std::optional<double> accuracy_stderr;
  std::optional<double> performance;  // unit and direction of ScoreOptions::performance_axis: TPOT in seconds
  // Scores of the single problems, 0..1. Where two systems have equally many they answered the same problems in the same order,
  // and the error of their difference is computed from the pairs.
  std::vector<double> item_scores;
  // The figures of bootstrap resamples (cap/resample.h), as many for every system, number i of all from the same problems.
  // Empty: the noise of this figure is not known.
  std::vector<double> cost_resamples, accuracy_resamples, performance_resamples;
};

// The difference in accuracy of two systems on the same problems.
struct AccuracyDifference {
  std::string first, second;
  double difference = 0;            // mean(first) - mean(second)
  std::optional<double> std_error;  // of the difference, paired by problem
  double p_value = 1;               // two-sided, McNemar's exact test for right or wrong answers (stats/bootstrap.h)
};

// Every pair of inputs with item scores of equal number.
std::vector<AccuracyDifference> CompareAccuracies(std::span<const CapInput> inputs);

// PA gives up cost, PC gives up accuracy, CA gives up performance.
// kDominated: another system is nowhere behind and somewhere ahead, beyond noise.
enum class CapClass { kPerformanceAccuracy, kPerformanceCost, kCostAccuracy, kBalanced, kDominated, kUnknown };

struct ClassShare {
  CapClass cap_class = CapClass::kUnknown;
  double share = 0;  // 0..1 of the resamples
};

struct CapScores {
  std::string system;
  std::optional<double> cost, accuracy, performance;  // 0..100, outer is better
  CapClass cap_class = CapClass::kUnknown;
  std::string reason;  // one sentence with the figures
  // The share of the resamples in which the class is the same, and the others that occur, most frequent first. Null: no
  // figure's noise is known, or the class is unknown.
  std::optional<double> class_support;
  std::vector<ClassShare> class_alternatives;
  std::vector<std::string> dominated_by;
};

// "PA", "PC", "CA", "balanced", "dominated", "unknown".
std::string CapClassName(CapClass value);

struct ScoreOptions {
  AxisId cost_axis = AxisId::kUsdPerMillionOutputTokens;
  AxisId performance_axis = AxisId::kTpot;
  double baseline = 20;  // the score of the worst system in view, 0..100: the middle of the radar stays empty
  // The cost T that scores the baseline; dearer systems are cut to it. Null: the largest cost in view, so that none is cut and
  // no two costs look the same. Upstream takes the second-last tick of its cost axis (8000 for ticks 0..10000 by 2000).
  std::optional<double> cost_at_baseline;
  // The margin: costs, times and rates within this ratio of each other count as equal, however certain they are.
  double meaningful_ratio = 1.05;
  // Figures count as different from this many standard errors of their difference on: of accuracies, paired by problem where
  // possible; of the logarithms of costs, times and rates, from their resamples. Where those have none, the margin decides ...
  double significant_errors = 2;
  // ... and, where the standard error of an accuracy is not known, this difference (0.01 = one point).
  double accuracy_step_without_error = 0.01;
  // Smaller differences in accuracy never count, however certain they are.
  double accuracy_margin = 0;
};

// Scores relative to the systems in view, and classes with reasons. With b the baseline:
//   performance = b + (max - v) / (max - min) x (100 - b)     cost = b + (T - min(v, T)) / T x (100 - b)
//   accuracy    = b + (v - min) / (1 - min) x (100 - b)
// (with v - min in place of max - v for a performance axis on which higher is better, which the paper has not),
// which is upstream's normalisation (draw_radar.py of MoE-CAP's leaderboard). Where it divides by zero (all times equal, T = 0,
// least accuracy 1) no system is behind another one and all score 100. Values that are not finite count as not known.
//
// A system is behind in a dimension when another one beats it there beyond noise. kDominated: one that is behind it nowhere is
// ahead of it somewhere. Otherwise its class names the two dimensions that are left when the one is taken away in which it lags
// most: the share of the way from the best to the worst in view. Near ties go to the dimension with the larger ratio to the
// best (of times, of costs, of error rates), then to performance: on equal hardware a token's cost follows from its time.
// kBalanced: behind in none. kUnknown: a value is missing, or nobody to compare with. The result has the order of `inputs`.
//
// The support of a class is the share of resamples in which the same rule, with the same standard errors, gives the same class.
// Requires as many resamples wherever there are any.
std::vector<CapScores> ScoreSystems(std::span<const CapInput> inputs, const ScoreOptions& options = {});

}  // namespace moecap::cap
