// What is right in one question of a data set, read and checked once.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "accuracy/ifeval.h"

namespace moecap::accuracy {

struct Reference {
  std::string gold;                // as ReadGold has it; of several the first; empty where the task has none
  std::vector<std::string> golds;  // GoldForm::kTexts: those that are accepted, or those that must be found
  std::vector<std::string> choices;
  std::string part;                                         // of the benchmark: LongBench's data set, RULER's task
  std::vector<std::pair<std::string, std::string>> traits;  // Task::breakdown: "difficulty" -> "easy"
  std::vector<std::string> classes;                         // LongBench's
  std::vector<Instruction> instructions;                    // IFEval's
  std::string prompt, test, entry_point;                    // HumanEval's
};

// The same as a row has it.
struct RawReference {
  std::vector<std::string> golds;
  std::vector<std::string> choices;
  std::string part;   // where the facts do not say it
  std::string facts;  // a JSON object; empty = none
};

}  // namespace moecap::accuracy
