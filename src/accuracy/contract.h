// Scoring contracts: whose rules say what the answer in a reply is and whether it is right.
//
// A contract is the set of rules of one reference, chosen by name; a task of a contract has one or more named filters, each of
// which extracts an answer and judges it. docs/accuracy.md lists them with their sources.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accuracy/reference.h"
#include "accuracy/verdict.h"
#include "base/json.h"
#include "base/result.h"

namespace moecap::accuracy {

// "lm-eval": lm-evaluation-harness; "mlperf": MLPerf Inference; "official": the benchmark's own; "moe-cap": the Python project.
inline constexpr std::array kContracts{"lm-eval", "mlperf", "official", "moe-cap"};

// What the gold of a task must be. Math: an answer, or a solution with the answer in its last \boxed. Texts: one or more. None:
// an answer is checked against facts of its row.
enum class GoldForm : uint8_t { kNumber, kLetter, kInteger, kMath, kTexts, kNone };

struct Filter {
  std::string_view name;    // "strict-match"
  std::string_view source;  // tool, task and version or commit
  Scorer score = nullptr;
  std::string_view metric = {};  // lm-evaluation-harness' name of its score in samples; empty = exact_match under `name`
  bool runs_code = false;        // `score` only finds the program's text; whether it passes is found out by running it
};

struct Task {
  std::string_view contract;
  std::string_view name;
  std::string_view aliases;  // other names, separated by blanks
  GoldForm gold;
  std::string_view letters;  // kLetter: those that exist, "ABCD"
  bool reads_choices = false;
  std::vector<Filter> filters;
  std::string_view facts = {};      // of the data set's row, that rules need besides: names, separated by blanks
  std::string_view breakdown = {};  // facts by which scores are shown apart, likewise
  bool parts_count_alike = false;   // the score is the mean over the values of the first of these, not over items
  Status (*read_facts)(const Json& facts, Reference& reference) = nullptr;  // error: kBadInput that names the fact

  bool RunsCode() const { return filters.front().runs_code; }
};

std::span<const Task> Tasks();

// The names in Task::aliases, facts or breakdown.
std::vector<std::string_view> WordsOf(std::string_view names);

// By name or alias; '-' and '_' are the same. Error: kBadInput naming the contracts, or the tasks of this one.
Result<const Task*> FindTask(std::string_view task, std::string_view contract);

// The gold as the task's filters want it: the boxed answer of a solution, "(B)" without its brackets where letters are bare.
// Error: kBadInput with what is wrong with it.
Result<std::string> ReadGold(const Task& task, std::string_view gold);

// What is right in a row, of its texts. Error: kBadInput with what is missing or cannot be read.
Result<Reference> ReadReference(const Task& task, RawReference raw);

// Runs a program of unknown origin and says whether it ended with kHumanEvalPassed. An error stops the scoring.
using ProgramRunner = std::function<Result<bool>(const std::string& program)>;

// One reply by one filter. Bytes that are not UTF-8 are read as U+FFFD. A filter that runs code needs Judge.
Verdict Score(const Filter& filter, std::string_view prediction, const Reference& reference);
// The same, with `run` (which may be empty for other filters) for what runs code. Error: that of `run`.
Result<Verdict> Judge(const Filter& filter, std::string_view prediction, const Reference& reference, const ProgramRunner& run);

}  // namespace moecap::accuracy
