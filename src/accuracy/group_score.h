// Scores of groups of tasks with their standard errors, as lm-evaluation-harness aggregates them (api/metrics.py at 4e7e0d4:
// aggregate_subtask_metrics, pooled_sample_stderr).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace moecap::accuracy {

struct ItemScore {
  double score = 0;       // 0..1
  int64_t parts = 1;      // Verdict::parts, >= 1
  std::string_view part;  // of the benchmark, where these count alike
};

struct MeanScore {
  double mean = 0;
  std::optional<double> std_error;  // of the mean
  int64_t items = 0;
};

// Each item counted by its parts: sum w x / sum w. The standard error is that of this ratio, with items as what varies:
// sqrt(n / (n - 1) sum w^2 (x - mean)^2) / sum w, which for equal weights is stats::MeanAndError; null for one item. Null for
// none.
std::optional<MeanScore> MeanOfItems(std::span<const ItemScore> items);

// The mean over the parts of a benchmark, each alike, of MeanOfItems of its items; standard error sqrt(sum se_i^2) / k, null
// when a part has none. Null for no items.
std::optional<MeanScore> MeanOfParts(std::span<const ItemScore> items);

struct TaskScore {
  double mean = 0;
  std::optional<double> std_error;  // of the mean; null for fewer than two items
  int64_t items = 0;
};

struct GroupScore {
  double weighted_mean = 0;    // by items
  double unweighted_mean = 0;  // each task alike
  // sqrt(sum (n_i - 1) n_i se_i^2 / (N - k)) / sqrt(N): each task is a stratum, whose mean is not what varies. Null when a task
  // has none, or N = k.
  std::optional<double> std_error;
  int64_t items = 0;  // N
};

// Null for no tasks. Requires items > 0 in each.
std::optional<GroupScore> AggregateGroup(std::span<const TaskScore> tasks);

}  // namespace moecap::accuracy
