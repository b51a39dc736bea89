// From a problem to what is sent: the template filled in, with worked examples before the question.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "workload/dataset.h"
#include "workload/prompt_template.h"
#include "workload/request_set.h"

namespace moecap::workload {

struct RenderedPrompt {
  std::string text;                        // the whole prompt as one text
  std::vector<PromptMessage> messages;     // the same as a chat; empty where the template is a text to continue
  std::vector<std::string> continuations;  // whose likelihood behind the text is asked for; empty where an answer is written
  std::vector<std::string> stop;
  int64_t max_output_tokens = 0;
};

class Prompter {
 public:
  // `examples`: the worked examples to choose from, empty where the template has none. `questions`: how many the evaluated
  // split has. Error: kBadInput when there are fewer examples than shots.
  static Result<Prompter> Create(PromptTemplate prompt, std::vector<Problem> examples, int64_t questions);

  // Error: kBadInput that names the problem's place: a field that it lacks, too few examples of its group.
  Result<RenderedPrompt> Render(const Problem& problem) const;

  const PromptTemplate& prompt() const { return prompt_; }

 private:
  Prompter(PromptTemplate prompt, std::vector<Problem> examples) : prompt_(std::move(prompt)), examples_(std::move(examples)) {}
  Result<std::vector<const Problem*>> ExamplesFor(const Problem& problem) const;
  Status AddContinuations(const Problem& problem, RenderedPrompt& rendered) const;
  Status Fill(const Problem& problem, const PromptVariant* variant, RenderedPrompt& rendered) const;

  PromptTemplate prompt_;
  std::vector<Problem> examples_;
  std::vector<std::vector<uint32_t>> drawn_;  // ShotChoice::kRandom: of each question, by its index
};

}  // namespace moecap::workload
