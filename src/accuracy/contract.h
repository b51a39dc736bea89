// Scoring contracts: whose rules say what the answer in a reply is and whether it is right.
//
// A contract is the set of rules of one reference, chosen by name; a task of a contract has one or more named filters, each of
// which extracts an answer and judges it. docs/accuracy.md lists them with their sources.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accuracy/verdict.h"
#include "base/result.h"

namespace moecap::accuracy {

// "lm-eval": lm-evaluation-harness; "mlperf": MLPerf Inference; "official": the benchmark's own; "moe-cap": the Python project.
inline constexpr std::array kContracts{"lm-eval", "mlperf", "official", "moe-cap"};

// What the gold of a task must be. Math: an answer, or a solution with the answer in its last \boxed.
enum class GoldForm : uint8_t { kNumber, kLetter, kInteger, kMath };

struct Filter {
  std::string_view name;    // "strict-match"
  std::string_view source;  // tool, task and version or commit
  Scorer score = nullptr;
};

struct Task {
  std::string_view contract;
  std::string_view name;
  std::string_view aliases;  // other names, separated by blanks
  GoldForm gold;
  std::string_view letters;  // kLetter: those that exist, "ABCD"
  bool reads_choices = false;
  std::vector<Filter> filters;
};

std::span<const Task> Tasks();

// By name or alias; '-' and '_' are the same. Error: kBadInput naming the contracts, or the tasks of this one.
Result<const Task*> FindTask(std::string_view task, std::string_view contract);

// The gold as the task's filters want it: the boxed answer of a solution, "(B)" without its brackets where letters are bare.
// Error: kBadInput with what is wrong with it.
Result<std::string> ReadGold(const Task& task, std::string_view gold);

// One reply by one filter. Bytes that are not UTF-8 are read as U+FFFD.
Verdict Score(const Filter& filter, const Answer& answer);

}  // namespace moecap::accuracy
