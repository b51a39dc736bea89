// What a scorer is given and what it says.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace moecap::accuracy {

struct Answer {
  std::string_view prediction;           // the reply as it came; UTF-8
  std::string_view gold;                 // the data set's answer
  std::span<const std::string> choices;  // of multiple choice, in the order A, B, ...; may be empty where no rule needs them
};

struct Verdict {
  std::optional<std::string> extracted;  // null: no answer found (lm-eval's "[invalid]")
  bool correct = false;
  bool gave_up = false;  // a search or a comparison reached its limit, and what it looked for counts as not found
};

using Scorer = Verdict (*)(const Answer& answer);

}  // namespace moecap::accuracy
