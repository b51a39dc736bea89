// Texts of an exact number of tokens, by asking a tokenizer.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "workload/make_requests.h"
#include "workload/prompt_content.h"

namespace moecap::workload {

struct FittedText {
  std::string text;
  int64_t words = 0;      // >= 1
  bool replaced = false;  // the last word is not the recipe's
  int64_t tokens = 0;     // what the tokenizer makes of `text`
};

// The first words of the recipe of which the tokenizer makes `tokens` tokens, or the most words that stay below. With
// `may_replace` the last word gives way to another one when it has a token too many. Usually asks once when each word is a
// token, and a handful of times otherwise. Errors: those of `count`; kFailed when it makes nothing of text.
Result<FittedText> FitText(const PromptContent& content, const Recipe& recipe, int64_t tokens, bool may_replace,
                           const CountTokens& count);

}  // namespace moecap::workload
