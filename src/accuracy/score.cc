#include "accuracy/score.h"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "stats/paired_scores.h"
#include "stats/shares.h"
#include "stats/summary.h"

namespace moecap::accuracy {
namespace {

constexpr double kConfidence = 0.95;

void AddItem(const Item& item, FilterScore& sum) {
  ++sum.attempted;
  double correct = 0;
  bool gave_up = false;
  Verdict first;
  for (size_t i = 0; i < item.predictions.size(); ++i) {
    Verdict verdict = Score(*sum.filter, {item.predictions[i], item.gold, item.choices});
    correct += verdict.correct ? 1 : 0;
    gave_up |= verdict.gave_up;
    if (i == 0) first = std::move(verdict);
  }
  const double score = item.predictions.empty() ? 0 : correct / static_cast<double>(item.predictions.size());
  const bool answered = first.extracted && !first.extracted->empty();
  ++(item.predictions.empty() ? sum.failed : answered ? sum.answered : sum.no_answer);
  if (gave_up) ++sum.gave_up;
  sum.correct += score;
  sum.item_scores.push_back(score);
  sum.verdicts.push_back(std::move(first));
  const auto recorded = item.recorded.find(std::string(sum.filter->name));
  if (recorded == item.recorded.end() || recorded->second < 0) return;
  ++sum.recorded;
  if (std::abs(recorded->second - score) < 1e-9) ++sum.recorded_equal;
}

PairedScore Pair(const FilterScore& first, const FilterScore& second, const std::vector<std::pair<size_t, size_t>>& shared) {
  std::vector<double> a, b;
  for (const auto& [in_first, in_second] : shared) {
    a.push_back(first.item_scores[in_first]);
    b.push_back(second.item_scores[in_second]);
  }
  const stats::ScoreDifferences differences(a, b);
  return {first.filter,
          differences.problems(),
          stats::MeanAndError(a)->mean,
          stats::MeanAndError(b)->mean,
          differences.mean(),
          differences.ScoreInterval(kConfidence),
          differences.PValue(),
          differences.first_better(),
          differences.second_better()};
}

}  // namespace

std::vector<FilterScore> ScoreAll(const Task& task, const std::vector<Item>& items) {
  std::vector<FilterScore> scores;
  for (const Filter& filter : task.filters) {
    FilterScore& sum = scores.emplace_back();
    sum.filter = &filter;
    for (const Item& item : items) AddItem(item, sum);
    if (items.empty()) continue;
    const auto mean = stats::MeanAndError(sum.item_scores);
    sum.score = mean->mean;
    sum.std_error = mean->std_error;
    sum.interval = stats::WilsonInterval(sum.correct, static_cast<double>(sum.attempted), kConfidence);
  }
  return scores;
}

Result<Comparison> Compare(const std::vector<Item>& first, const std::vector<FilterScore>& first_scores,
                           const std::vector<Item>& second, const std::vector<FilterScore>& second_scores) {
  std::unordered_map<std::string, size_t> by_id;
  for (size_t i = 0; i < second.size(); ++i) by_id.emplace(second[i].id, i);
  std::vector<std::pair<size_t, size_t>> shared;
  for (size_t i = 0; i < first.size(); ++i) {
    const auto found = by_id.find(first[i].id);
    if (found == by_id.end()) continue;
    const Item& other = second[found->second];
    if (other.gold != first[i].gold)
      return BadInput(fmt::format("id '{}' has gold '{}' in row {} of one file and '{}' in row {} of the other", first[i].id,
                                  first[i].gold, first[i].row, other.gold, other.row));
    shared.emplace_back(i, found->second);
  }
  if (shared.empty()) return BadInput("the two files share no id");
  Comparison comparison;
  comparison.only_first = static_cast<int64_t>(first.size() - shared.size());
  comparison.only_second = static_cast<int64_t>(second.size() - shared.size());
  for (size_t i = 0; i < first_scores.size(); ++i)
    comparison.filters.push_back(Pair(first_scores[i], second_scores[i], shared));
  return comparison;
}

}  // namespace moecap::accuracy
