// How a problem is asked: the templates of the field's benchmarks, as data (catalog/prompts/*.yaml, each with its source and
// version), and their rendering. docs/datasets.md explains the keys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "workload/dataset.h"

namespace moecap::workload {

// Which worked examples stand before a question.
enum class ShotChoice : uint8_t {
  kFirst,  // the first ones, of the question's group where shots_of_same_group
  kRandom  // as lm-evaluation-harness draws them: Python's random.Random(1234).sample, for each question in the file's order
};

// What replaces the template's own for the problems of one group.
struct PromptVariant {
  std::string group;
  std::optional<std::string> system;
  std::optional<std::string> question;
  std::optional<int64_t> max_output_tokens;
  std::vector<std::string> stop;
};

// The system's message that a configuration asks for by the name "default": it asks for no form and no brevity, which would
// suppress reasoning.
inline constexpr const char* kDefaultSystemPrompt =
    "You are a helpful assistant. Think about the question as long as you need, then answer it as it asks you to.";

// In the texts, {{question}}, {{options}}, {{gold}} (the right answer), {{subject}} or any other field of the data set stand
// for it, {{question|strip}} without blanks around; in `option` and `choice` {{letter}} and {{option}}.
struct PromptTemplate {
  std::string name;
  std::string source;       // who asks so, and in which version
  bool is_chat = false;     // made for a chat, whose template the server applies; else a text to continue
  std::string system;       // the system's message of a chat; empty = none
  std::string description;  // before everything else
  std::string question;
  std::string answer;              // of a worked example
  std::string delimiter = " ";     // between question and answer of a worked example
  std::string separator = "\n\n";  // behind a worked example
  std::string option;              // one choice
  std::string between_options;
  // Not empty: the model writes nothing; the answer is the choice whose text, this one, is likeliest behind the prompt and the
  // delimiter. Of a text to continue.
  std::string choice;
  std::string begin_answer;  // how the answer begins: part of a text to continue, left out of a chat
  int shots = 0;
  ShotChoice choose = ShotChoice::kFirst;
  bool shots_of_same_group = false;
  bool shots_are_given = false;  // they are not in the data set: the user gives a file
  std::vector<std::string> stop;
  int64_t max_output_tokens = 256;
  std::string scoring;  // the scoring that its answers are made for, where this program has one; may be empty
  std::vector<PromptVariant> variants;
};

// Error: kBadInput with file, line and key.
Result<PromptTemplate> ParsePromptTemplate(std::string_view text, const std::string& file);

// A file that ends in .yaml, relative to `base_dir`, or one of the catalogue. Error: kBadInput with the nearest name.
Result<PromptTemplate> FindPromptTemplate(const std::string& name, const std::filesystem::path& base_dir = {});

// All of the catalogue, by name.
Result<std::vector<PromptTemplate>> BuiltinPromptTemplates();

// `text` with its {{names}} replaced. Error: kBadInput for a name that the problem has no field of.
Result<std::string> FillIn(std::string_view text, const PromptTemplate& prompt, const Problem& problem);

// The text of each of the problem's choices by the template's `choice`. Error: kBadInput, as above.
Result<std::vector<std::string>> ChoiceTexts(const PromptTemplate& prompt, const Problem& problem);

}  // namespace moecap::workload
