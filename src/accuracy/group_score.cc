#include "accuracy/group_score.h"

#include <cmath>

#include "base/check.h"

namespace moecap::accuracy {

std::optional<GroupScore> AggregateGroup(std::span<const TaskScore> tasks) {
  if (tasks.empty()) return std::nullopt;
  GroupScore group;
  double sum = 0, squares = 0;
  bool known = true;
  for (const TaskScore& task : tasks) {
    CHECK(task.items > 0);
    const auto items = static_cast<double>(task.items);
    group.items += task.items;
    sum += task.mean * items;
    group.unweighted_mean += task.mean / static_cast<double>(tasks.size());
    known = known && task.std_error.has_value();
    if (known) squares += (items - 1) * items * *task.std_error * *task.std_error;
  }
  const auto all = static_cast<double>(group.items), strata = static_cast<double>(tasks.size());
  group.weighted_mean = sum / all;
  if (known && all > strata) group.std_error = std::sqrt(squares / (all - strata)) / std::sqrt(all);
  return group;
}

}  // namespace moecap::accuracy
