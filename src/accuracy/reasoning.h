// Reasoning in front of an answer, where the server left it in the text: what stands in it is not the answer and is never
// scored.
//
// Known forms: <think>..</think>, <thinking>, <reasoning>, <thought> and [THINK]..[/THINK]; a text that begins inside them,
// because the model's template has opened them (DeepSeek-R1, Qwen3-Thinking); OpenAI's harmony channels, whole
// (<|channel|>analysis<|message|>..<|channel|>final<|message|>..) or with their special tokens dropped
// (analysis..assistantfinal..). Servers that separate reasoning themselves (`reasoning_content`, `reasoning`) send an answer
// without any of it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace moecap::accuracy {

// Views of the text given.
struct SeparatedText {
  std::string_view reasoning;  // from the text's begin, or a form's opening, to where it ends; empty = none
  std::string_view answer;     // without blanks in front where there was reasoning
  bool truncated = false;      // reasoning began and did not end: there is no answer
};

// The last end of reasoning divides the text, as lm-evaluation-harness does (`text.split(think_end)[-1].lstrip()`). Different
// from it, reasoning that began and did not end leaves no answer: else its last number would be scored. Only a text that begins
// with an opening (after blanks) counts as such: an answer may quote one.
SeparatedText SeparateReasoning(std::string_view text);

// `answer` up to the first of the stop strings, for requests that sent none because they could have ended the reasoning.
std::string_view CutAtStop(std::string_view answer, std::span<const std::string> stop);

}  // namespace moecap::accuracy
