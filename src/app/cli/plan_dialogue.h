// A question asked piece by piece, for who calls `moecap plan` on a terminal without arguments.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "planner/question_file.h"

namespace moecap::app {

// Shows a prompt and reads the line that answers it; null at the end of the input.
using AskLine = std::function<std::optional<std::string>(const std::string& prompt)>;

// Model, scenario, hardware that is there (or how to pay, and how much a month), and the target. An empty line takes the
// default; what cannot be is explained and asked again. Error kBadInput: the input ended.
Result<planner::QuestionText> AskQuestion(const AskLine& ask);

// "moecap plan --model Qwen/Qwen3-30B-A3B --scenario chat": the same question as flags.
std::string CommandOf(const planner::QuestionText& text);

}  // namespace moecap::app
