#include "app/cli/plan_dialogue.h"

#include <fmt/format.h>

#include "model/open_model.h"

namespace moecap::app {
namespace {

struct DialogueStep {
  const char* key;
  const char* prompt;
};

constexpr DialogueStep kScenarioStep = {"scenario",
                                        "For what? single-user, chat, coding-agent, rag, reasoning, offline [chat]: "};
constexpr DialogueStep kOwnStep = {"own", "Which accelerators are there already, e.g. 2xrtx-4090? [none: look at all]: "};
constexpr DialogueStep kOwnedSteps[] = {{"dram", "How much host memory, e.g. 256GB? [as much as such a machine takes]: "}};
constexpr DialogueStep kFreeSteps[] = {{"pay", "Buy or rent? [what is known]: "},
                                       {"usd_per_month", "At most how many USD a month? [no limit]: "}};
constexpr DialogueStep kTargetStep = {"tpot", "Time per output token at most, e.g. 50ms? [the scenario's]: "};

// Asks until the question so far is one, with the answer; the error of what was wrong goes before the next prompt.
Status AskStep(const AskLine& ask, const DialogueStep& step, planner::QuestionText& text) {
  std::string complaint;
  for (;;) {
    const auto answer = ask(complaint + step.prompt);
    if (!answer) return BadInput("the input ended before the question was complete");
    planner::QuestionText with = text;
    if (!answer->empty()) with.Set(step.key, *answer);
    const auto question = planner::MakeQuestion(with);
    if (question.ok()) {
      text = with;
      return {};
    }
    complaint = question.error().message + "\n";
  }
}

Status AskModel(const AskLine& ask, planner::QuestionText& text) {
  std::string complaint;
  for (;;) {
    const auto answer = ask(complaint + "Which model? An id, config.json, folder or .gguf, or any: ");
    if (!answer) return BadInput("the input ended before a model was named");
    if (answer->empty()) continue;
    const auto spec = *answer == "any" ? Result<model::ModelSpec>(model::ModelSpec{}) : model::OpenModel(*answer);
    if (spec.ok()) {
      text.Set("model", *answer);
      return {};
    }
    complaint = spec.error().message + "\n";
  }
}

}  // namespace

Result<planner::QuestionText> AskQuestion(const AskLine& ask) {
  planner::QuestionText text;
  RETURN_IF_ERROR(AskModel(ask, text));
  RETURN_IF_ERROR(AskStep(ask, kScenarioStep, text));
  RETURN_IF_ERROR(AskStep(ask, kOwnStep, text));
  if (text.Get("own").empty()) {
    for (const DialogueStep& step : kFreeSteps) RETURN_IF_ERROR(AskStep(ask, step, text));
  } else {
    for (const DialogueStep& step : kOwnedSteps) RETURN_IF_ERROR(AskStep(ask, step, text));
  }
  RETURN_IF_ERROR(AskStep(ask, kTargetStep, text));
  return text;
}

std::string CommandOf(const planner::QuestionText& text) {
  std::string command = "moecap plan --model " + text.Get("model");
  for (const planner::QuestionKey& key : planner::QuestionKeys()) {
    const std::string value = text.Get(std::string(key.name));
    if (!value.empty() && !key.flag.empty()) command += fmt::format(" --{} {}", key.flag, value);
  }
  return command;
}

}  // namespace moecap::app
