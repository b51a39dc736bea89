// The score of a set of replies under each filter of a task, and two sets compared on the same items.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accuracy/contract.h"
#include "accuracy/predictions.h"
#include "base/result.h"
#include "stats/interval.h"

namespace moecap::accuracy {

// The items that share a trait: a data set of LongBench, the hard questions of LongBench v2.
struct PartScore {
  std::string trait, value;  // "difficulty", "easy"
  int64_t items = 0;         // judged; 0: the score is null
  std::optional<double> score, std_error;
};

// A failed request is wrong and stays in the denominator: attempted = answered + no_answer + failed + not_judged.
struct FilterScore {
  const Filter* filter = nullptr;
  std::string name;  // the filter's; with code "pass@1"
  int64_t attempted = 0;
  int64_t answered = 0;    // an answer was found
  int64_t no_answer = 0;   // a reply without one
  int64_t failed = 0;      // no reply
  int64_t not_judged = 0;  // a reply on which nothing is said (Verdict::IsJudged); in no mean
  int64_t gave_up = 0;     // of all, those where a limit was reached
  double correct = 0;      // the sum of the items' scores: a share of one each where it is partly right
  // 0..1, the mean over the items that are judged, by their parts; over parts of the benchmark where these count alike. Null
  // where no item is judged.
  std::optional<double> score;
  std::optional<double> std_error;  // as lm-evaluation-harness for a mean (stats::MeanAndError); null for one item
  stats::Interval interval;         // 95 %, stats::WilsonIntervalOfMean
  std::vector<std::optional<double>> item_scores;  // of each item, 0..1; null: not judged
  std::vector<Verdict> verdicts;                   // of each item, of its first reply; a default one where the request failed
  std::vector<PartScore> parts;                    // by trait and value, in order of appearance

  // Against the scores that an lm-eval file gives itself.
  int64_t recorded = 0, recorded_equal = 0;
};

// What a failed request counts as: wrong, in as many parts as an empty reply; not judged where the rule judges no reply.
Verdict FailedVerdict(const Filter& filter, const Reference& reference);

struct ScoreOptions {
  ProgramRunner run;             // for filters that run code; may be empty for others
  std::vector<int64_t> k = {1};  // of pass@k, each >= 1: one score each, of filters that run code
};

// Errors: kBadInput where an item has fewer replies than a k asks for; those of `run`.
Result<std::vector<FilterScore>> ScoreAll(const Task& task, const std::vector<Item>& items, const ScoreOptions& options);

// Two sets under one filter, on the items that both have.
struct PairedScore {
  std::string name;                         // FilterScore's
  int64_t items = 0;                        // that both have judged; 0: the rest means nothing
  double first = 0, second = 0;             // the mean scores on these items
  double difference = 0;                    // first - second
  stats::Interval interval;                 // 95 % score interval of the difference
  double p_value = 1;                       // McNemar's exact test; of sign changes where items have fractions
  int64_t first_only = 0, second_only = 0;  // items on which one is better
};

struct Comparison {
  std::vector<PairedScore> filters;
  int64_t only_first = 0, only_second = 0;  // items that the other does not have
};

// Matches items by id. Error: kBadInput where no item is shared, or a shared one has two golds.
Result<Comparison> Compare(const std::vector<Item>& first, const std::vector<FilterScore>& first_scores,
                           const std::vector<Item>& second, const std::vector<FilterScore>& second_scores);

}  // namespace moecap::accuracy
