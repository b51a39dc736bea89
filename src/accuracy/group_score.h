// Scores of groups of tasks with their standard errors, as lm-evaluation-harness aggregates them (api/metrics.py at 4e7e0d4:
// aggregate_subtask_metrics, pooled_sample_stderr).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace moecap::accuracy {

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
