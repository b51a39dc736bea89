#include "accuracy/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>
#include <utility>

#include "accuracy/code_answer.h"
#include "accuracy/group_score.h"
#include "stats/paired_scores.h"
#include "stats/shares.h"
#include "stats/summary.h"

namespace moecap::accuracy {
namespace {

constexpr double kConfidence = 0.95;

// What became of one item: its replies' verdicts as one score.
class ItemScorer {
 public:
  explicit ItemScorer(FilterScore& sum) : sum_(sum) {}

  // `k`: of pass@k, of filters that run code.
  Status Add(const Item& item, std::span<const Verdict> verdicts, int64_t k) {
    ++sum_.attempted;
    const Verdict first = verdicts.empty() ? FailedVerdict(*sum_.filter, item.reference) : verdicts.front();
    const bool judged = verdicts.empty() ? first.IsJudged() : std::ranges::any_of(verdicts, &Verdict::IsJudged);
    const bool answered = first.extracted && !first.extracted->empty();
    ++(item.predictions.empty() ? sum_.failed : !judged ? sum_.not_judged : answered ? sum_.answered : sum_.no_answer);
    if (std::ranges::any_of(verdicts, &Verdict::gave_up)) ++sum_.gave_up;
    sum_.verdicts.push_back(first);
    std::optional<double> score;
    if (judged) {
      ASSIGN_OR_RETURN(score, ScoreOf(item, verdicts, k));
      sum_.correct += *score;
      AddToParts(item, *score, std::max<int64_t>(first.parts, 1));
    } else {
      for (const auto& [trait, value] : item.reference.traits) PartOf(trait, value);
    }
    sum_.item_scores.push_back(score);
    CompareWithRecorded(item, score);
    return {};
  }

  void Finish(bool parts_count_alike) {
    for (size_t i = 0; i < sum_.parts.size(); ++i) {
      const auto mean = MeanOfItems(of_parts_[i]);
      if (!mean) continue;
      sum_.parts[i].items = mean->items;
      sum_.parts[i].score = mean->mean;
      sum_.parts[i].std_error = mean->std_error;
    }
    const auto mean = parts_count_alike ? MeanOfParts(all_) : MeanOfItems(all_);
    if (!mean) return;
    sum_.score = mean->mean;
    sum_.std_error = mean->std_error;
    sum_.interval = stats::WilsonIntervalOfMean(mean->mean, mean->std_error, mean->items, kConfidence);
  }

 private:
  // Pass@k over the samples of a program; else the mean over repeats.
  Result<double> ScoreOf(const Item& item, std::span<const Verdict> verdicts, int64_t k) const {
    if (verdicts.empty()) return 0.0;
    double sum = 0, judged = 0;
    for (const Verdict& verdict : verdicts) {
      sum += verdict.IsJudged() ? verdict.Score() : 0;
      judged += verdict.IsJudged() ? 1 : 0;
    }
    if (!sum_.filter->runs_code) return sum / judged;
    if (k > std::ssize(verdicts))
      return BadInput(fmt::format("row {}: pass@{} needs {} samples a problem, and id '{}' has {}", item.row, k, k, item.id,
                                  verdicts.size()));
    return PassAtK(std::ssize(verdicts), static_cast<int64_t>(sum), k);
  }

  size_t PartOf(const std::string& trait, const std::string& value) {
    const auto found =
        std::ranges::find_if(sum_.parts, [&](const PartScore& part) { return part.trait == trait && part.value == value; });
    if (found != sum_.parts.end()) return static_cast<size_t>(found - sum_.parts.begin());
    sum_.parts.push_back({trait, value, 0, std::nullopt, std::nullopt});
    of_parts_.emplace_back();
    return sum_.parts.size() - 1;
  }

  void AddToParts(const Item& item, double score, int64_t parts) {
    const auto& traits = item.reference.traits;
    all_.push_back({score, parts, traits.empty() ? std::string_view() : std::string_view(traits.front().second)});
    for (const auto& [trait, value] : traits) of_parts_[PartOf(trait, value)].push_back(all_.back());
  }

  void CompareWithRecorded(const Item& item, std::optional<double> score) {
    const auto recorded = item.recorded.find(std::string(sum_.filter->name));
    // What is judged in part only is not what the file judges.
    const bool whole = score && sum_.verdicts.back().reason.empty();
    if (recorded == item.recorded.end() || recorded->second < 0 || !whole) return;
    ++sum_.recorded;
    if (std::abs(recorded->second - *score) < 1e-9) ++sum_.recorded_equal;
  }

  FilterScore& sum_;
  std::vector<ItemScore> all_;
  std::vector<std::vector<ItemScore>> of_parts_;  // of each part
};

PairedScore Pair(const FilterScore& first, const FilterScore& second, const std::vector<std::pair<size_t, size_t>>& shared) {
  std::vector<double> a, b;
  for (const auto& [in_first, in_second] : shared) {
    if (!first.item_scores[in_first] || !second.item_scores[in_second]) continue;
    a.push_back(*first.item_scores[in_first]);
    b.push_back(*second.item_scores[in_second]);
  }
  PairedScore pair;
  pair.name = first.name;
  if (a.empty()) return pair;
  const stats::ScoreDifferences differences(a, b);
  return {first.name,
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

Verdict FailedVerdict(const Filter& filter, const Reference& reference) {
  const Verdict empty = Score(filter, "", reference);
  Verdict failed;
  failed.parts = empty.parts;
  failed.reason = empty.reason;
  return failed;
}

Result<std::vector<FilterScore>> ScoreAll(const Task& task, const std::vector<Item>& items, const ScoreOptions& options) {
  std::vector<FilterScore> scores;
  for (const Filter& filter : task.filters) {
    std::vector<std::vector<Verdict>> verdicts(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      for (const std::string& prediction : items[i].predictions) {
        ASSIGN_OR_RETURN(Verdict verdict, Judge(filter, prediction, items[i].reference, options.run));
        verdicts[i].push_back(std::move(verdict));
      }
    }
    for (const int64_t k : filter.runs_code ? options.k : std::vector<int64_t>{1}) {
      FilterScore& sum = scores.emplace_back();
      sum.filter = &filter;
      sum.name = filter.runs_code ? fmt::format("{} pass@{}", filter.name, k) : std::string(filter.name);
      ItemScorer scorer(sum);
      for (size_t i = 0; i < items.size(); ++i) RETURN_IF_ERROR(scorer.Add(items[i], verdicts[i], k));
      scorer.Finish(task.parts_count_alike);
    }
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
    const Reference &gold = first[i].reference, &other_gold = other.reference;
    if (other_gold.gold != gold.gold)
      return BadInput(fmt::format("id '{}' has gold '{}' in row {} of one file and '{}' in row {} of the other", first[i].id,
                                  gold.gold, first[i].row, other_gold.gold, other.row));
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
