// Scoring of GSM8K-style answers under lm-evaluation-harness' contract (task gsm8k, version 3).
//
//   strict-match      first match of `#### (\-?[0-9\.\,]+)`
//   flexible-extract  last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`
//
// Prediction and gold are then compared as text after `,`, `$`, everything up to "#### " and a trailing '.' are removed and
// letters are lowered (exact_match with ignore_case and the task's regexes_to_ignore).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moecap::accuracy {

enum class Gsm8kFilter { kStrictMatch, kFlexibleExtract };

struct Verdict {
  std::optional<std::string> extracted;  // null: no answer found, lm-eval's "[invalid]"
  bool correct = false;
};

// `gold` is the data set's answer: a worked solution ending in "#### N", or the bare number.
Verdict ScoreGsm8k(std::string_view prediction, std::string_view gold, Gsm8kFilter filter);

}  // namespace moecap::accuracy
