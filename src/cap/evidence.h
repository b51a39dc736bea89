// What the judge (verdict.h) knows of each system in view: figures and scores, no formulas. Filled by analysis/.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace moecap::cap {

// One figure of one system at one level: pooled, and by repetition. Figures are positive (a time, a rate, a cost).
struct Series {
  std::optional<double> value;                       // what is shown; null: not known
  std::vector<std::optional<double>> by_repetition;  // index = repetition; null: that one is not whole or invalid
  bool exact = false;  // a price or nameplate: `value` is known and not measured, by_repetition is not looked at
};

// The score of one problem, 0..1: the mean over the repetitions in which it was scored.
struct ItemScore {
  std::string id;  // the same problem has the same id for every system; unique within a system
  double score = 0;
};

struct Evidence {
  std::string label;       // unique among the systems in view: "Q4_0"
  std::string experiment;  // id: repetitions of one experiment are paired by index, those of different ones are not
  Series cost, performance;
  std::vector<ItemScore> items;    // in any order; empty: nothing was scored
  std::optional<double> accuracy;  // 0..1, the mean of `items`; null: nothing was scored
  // Of the machine of the system: an hour of it, and its purchase. Null: not known. They decide whether letters apply.
  std::optional<double> usd_per_h, purchase_usd;
  std::string meant_as;  // the class that it was configured to stand for, "PA"; empty = none
  // The names of the gates that tripped, in words: "machine was not quiet". Such a system takes no part in verdicts unless
  // JudgeOptions::include_invalid, and the first line of the headline says so.
  std::vector<std::string> tripped;
};

// How sentences speak of an axis.
struct AxisWords {
  std::string name;  // "TPOT"
  std::string unit;  // "s"
  bool higher_is_better = false;
};

struct JudgeOptions {
  AxisWords cost = {"cost", "USD per 1M tokens", false};
  AxisWords performance = {"TPOT", "s", false};
  double ratio_margin = 0.05;     // costs, times and rates within this share of each other are as good as each other, > 0
  double accuracy_margin = 0.01;  // 0.01 = one point, > 0
  double confidence = 0.95;       // of the intervals, and 1 - the error of a pair's verdicts
  int least_repetitions = 5;      // below it the range is given and nothing is judged; at least 2
  bool include_invalid = false;
};

}  // namespace moecap::cap
