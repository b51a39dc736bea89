#include "accuracy/group_score.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/check.h"
#include "stats/summary.h"

namespace moecap::accuracy {

std::optional<MeanScore> MeanOfItems(std::span<const ItemScore> items) {
  if (items.empty()) return std::nullopt;
  if (std::ranges::all_of(items, [](const ItemScore& item) { return item.parts == 1; })) {
    std::vector<double> scores;
    for (const ItemScore& item : items) scores.push_back(item.score);
    const auto mean = stats::MeanAndError(scores);
    return MeanScore{mean->mean, mean->std_error, std::ssize(items)};
  }
  double weighted = 0, all = 0, squares = 0;
  for (const ItemScore& item : items) {
    CHECK(item.parts >= 1);
    weighted += static_cast<double>(item.parts) * item.score;
    all += static_cast<double>(item.parts);
  }
  MeanScore mean{weighted / all, std::nullopt, std::ssize(items)};
  for (const ItemScore& item : items) squares += std::pow(static_cast<double>(item.parts) * (item.score - mean.mean), 2);
  const auto n = static_cast<double>(items.size());
  if (n > 1) mean.std_error = std::sqrt(n / (n - 1) * squares) / all;
  return mean;
}

std::optional<MeanScore> MeanOfParts(std::span<const ItemScore> items) {
  if (items.empty()) return std::nullopt;
  std::map<std::string_view, std::vector<ItemScore>> parts;
  for (const ItemScore& item : items) parts[item.part].push_back(item);
  const auto count = static_cast<double>(parts.size());
  MeanScore all{0, std::nullopt, std::ssize(items)};
  double squares = 0;
  bool known = true;
  for (const auto& [name, own] : parts) {
    const MeanScore part = *MeanOfItems(own);
    all.mean += part.mean / count;
    known = known && part.std_error.has_value();
    squares += known ? *part.std_error * *part.std_error : 0;
  }
  if (known) all.std_error = std::sqrt(squares) / count;
  return all;
}

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
