// The scores of LongBench v1 and v2 (THUDM/LongBench at 2e00731: metrics.py, eval.py, and v2's pred.py).
// docs/accuracy_metrics.md has the formulas.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace moecap::accuracy {

// All in [0, 1]; `gold` is one of the accepted answers.
double QaF1(std::string_view prediction, std::string_view gold);  // qa_f1_score
double ClassScore(std::string_view prediction, std::string_view gold,
                  std::span<const std::string> classes);                    // classification_score
double CountScore(std::string_view prediction, std::string_view gold);      // count_score
double CodeSimilarity(std::string_view prediction, std::string_view gold);  // code_sim_score
// retrieval_score: `gold` names "Paragraph N" (or, in Chinese, "段落N"). Null when it does not.
std::optional<double> RetrievalScore(std::string_view prediction, std::string_view gold);

enum class LongBenchMetric : uint8_t { kQaF1, kRougeL, kClassification, kRetrieval, kCount, kCodeSimilarity, kNeedsJieba };

struct LongBenchTask {
  std::string_view name;
  LongBenchMetric metric = LongBenchMetric::kQaF1;
  bool first_line_only = false;  // what follows the first line of an answer that is not empty is not scored
};

// One of the 21 tasks ("qasper") or its LongBench-E form ("qasper_e"); null for another name.
const LongBenchTask* FindLongBenchTask(std::string_view name);

// The best score over `answers`, 0 when there are none. `classes` is the task's list for classification and empty otherwise.
// Errors: kBadInput for an unknown task, for a gold without a paragraph number, and for the three tasks (multifieldqa_zh,
// dureader, vcsum) whose words only the Python package jieba can tell apart.
Result<double> ScoreLongBench(std::string_view task, std::string_view prediction, std::span<const std::string> answers,
                              std::span<const std::string> classes);

// lm-evaluation-harness 0.4.13's form of it (tasks longbench_*, version 5): the whole answer without outer blanks counts, and
// of code the first line that has neither marks nor blanks alone. Errors: as above.
Result<double> ScoreLongBenchHarness(std::string_view task, std::string_view prediction, std::span<const std::string> answers,
                                     std::span<const std::string> classes);

// The letter that LongBench v2 reads: asterisks are removed, then the first "The correct answer is (X)", else the first "The
// correct answer is X", X in A..D. Null is wrong, or worth kLongBenchV2Chance in the benchmark's "compensated" score.
std::optional<char> LongBenchV2Letter(std::string_view prediction);
inline constexpr double kLongBenchV2Chance = 0.25;

}  // namespace moecap::accuracy
