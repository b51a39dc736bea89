#include "workload/prompter.h"

#include <fmt/format.h>

#include <algorithm>

#include "workload/python_random.h"

namespace moecap::workload {
namespace {

constexpr uint32_t kFewShotSeed = 1234;  // lm-evaluation-harness' --seed for few-shot examples by default

}  // namespace

Result<Prompter> Prompter::Create(PromptTemplate prompt, std::vector<Problem> examples, int64_t questions) {
  const auto shots = static_cast<size_t>(prompt.shots);
  if (examples.size() < shots)
    return BadInput(fmt::format("the prompt {} has {} worked examples, and there are {}", prompt.name, shots, examples.size()));
  Prompter prompter(std::move(prompt), std::move(examples));
  if (shots > 0 && prompter.prompt_.choose == ShotChoice::kRandom) {
    PythonRandom random(kFewShotSeed);
    for (int64_t i = 0; i < questions; ++i)
      prompter.drawn_.push_back(random.Sample(static_cast<uint32_t>(prompter.examples_.size()), static_cast<uint32_t>(shots)));
  }
  return prompter;
}

Result<std::vector<const Problem*>> Prompter::ExamplesFor(const Problem& problem) const {
  std::vector<const Problem*> examples;
  if (prompt_.shots == 0) return examples;
  if (!drawn_.empty()) {
    for (const uint32_t i : drawn_[static_cast<size_t>(problem.index) % drawn_.size()]) examples.push_back(&examples_[i]);
    return examples;
  }
  for (const Problem& example : examples_) {
    if (std::ssize(examples) == prompt_.shots) break;
    if (!prompt_.shots_of_same_group || example.group == problem.group) examples.push_back(&example);
  }
  if (std::ssize(examples) == prompt_.shots) return examples;
  return BadInput(fmt::format("the prompt {} has {} worked examples, and there are {} of \"{}\"", prompt_.name, prompt_.shots,
                              examples.size(), problem.group));
}

// As lm-evaluation-harness joins them (0.4.13, lm_eval/api/task.py).
Status Prompter::Fill(const Problem& problem, const PromptVariant* variant, RenderedPrompt& rendered) const {
  const std::string& question = variant != nullptr && variant->question ? *variant->question : prompt_.question;
  ASSIGN_OR_RETURN(std::string user, FillIn(prompt_.description, prompt_, problem));
  ASSIGN_OR_RETURN(const std::vector<const Problem*> examples, ExamplesFor(problem));
  for (const Problem* example : examples) {
    ASSIGN_OR_RETURN(const std::string asked, FillIn(question, prompt_, *example));
    ASSIGN_OR_RETURN(const std::string answered, FillIn(prompt_.answer, prompt_, *example));
    if (prompt_.is_chat) {
      rendered.messages.push_back({"user", user + asked});
      rendered.messages.push_back({"assistant", answered});
      rendered.text += user;
      user.clear();
    }
    (prompt_.is_chat ? rendered.text : user) += asked + prompt_.delimiter + answered + prompt_.separator;
  }
  ASSIGN_OR_RETURN(const std::string asked, FillIn(question, prompt_, problem));
  user += asked;
  if (prompt_.is_chat) rendered.messages.push_back({"user", user});
  ASSIGN_OR_RETURN(const std::string begin, FillIn(prompt_.begin_answer, prompt_, problem));
  rendered.text += user + begin;
  return {};
}

// Blanks at the prompt's end belong to what follows, as most tokenizers join them to a word (lm_eval/api/model.py,
// _encode_pair).
Status Prompter::AddContinuations(const Problem& problem, RenderedPrompt& rendered) const {
  if (prompt_.choice.empty()) return {};
  if (problem.choices.size() < 2)
    return BadInput(fmt::format("the prompt {} compares choices, and the row has none", prompt_.name));
  ASSIGN_OR_RETURN(const std::vector<std::string> choices, ChoiceTexts(prompt_, problem));
  const size_t end = rendered.text.find_last_not_of(" \t\r\n") + 1;
  const std::string blanks = rendered.text.substr(end);
  rendered.text.resize(end);
  for (const std::string& choice : choices) rendered.continuations.push_back(blanks + prompt_.delimiter + choice);
  return {};
}

Result<RenderedPrompt> Prompter::Render(const Problem& problem) const {
  const auto found = std::ranges::find(prompt_.variants, problem.group, &PromptVariant::group);
  const PromptVariant* variant = found == prompt_.variants.end() ? nullptr : &*found;
  RenderedPrompt rendered;
  rendered.stop = variant != nullptr && !variant->stop.empty() ? variant->stop : prompt_.stop;
  rendered.max_output_tokens =
      variant != nullptr && variant->max_output_tokens ? *variant->max_output_tokens : prompt_.max_output_tokens;
  const std::string& system = variant != nullptr && variant->system ? *variant->system : prompt_.system;
  if (!system.empty()) {
    rendered.messages.push_back({"system", system});
    rendered.text = system + "\n\n";
  }
  if (const Status status = Fill(problem, variant, rendered); !status.ok()) return Annotate(problem.place, status.error());
  if (const Status status = AddContinuations(problem, rendered); !status.ok()) return Annotate(problem.place, status.error());
  return rendered;
}

}  // namespace moecap::workload
