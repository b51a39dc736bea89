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

// A failed request is wrong and stays in the denominator: attempted = answered + no_answer + failed.
struct FilterScore {
  const Filter* filter = nullptr;
  int64_t attempted = 0;
  int64_t answered = 0;             // an answer was found
  int64_t no_answer = 0;            // a reply without one
  int64_t failed = 0;               // no reply
  int64_t gave_up = 0;              // of all, those where a limit was reached
  double correct = 0;               // items; a share of one where a question was asked repeatedly
  double score = 0;                 // 0..1, mean over items
  std::optional<double> std_error;  // stats::MeanAndError, as lm-evaluation-harness; null for one item
  stats::Interval interval;         // 95 %, Wilson
  std::vector<double> item_scores;  // of each item, 0..1
  std::vector<Verdict> verdicts;    // of each item, of its first reply; a default one where the request failed

  // Against the scores that an lm-eval file gives itself.
  int64_t recorded = 0, recorded_equal = 0;
};

std::vector<FilterScore> ScoreAll(const Task& task, const std::vector<Item>& items);

// Two sets under one filter, on the items that both have.
struct PairedScore {
  const Filter* filter = nullptr;
  int64_t items = 0;
  double first = 0, second = 0;             // the scores on these items
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
