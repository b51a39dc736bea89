// Numbers at the end of a worked solution: GSM8K and its variants.
//
// lm-evaluation-harness (task gsm8k version 3, gsm8k_cot 3, gsm8k_cot_llama 4):
//   strict-match      first match of `#### (\-?[0-9\.\,]+)`; gsm8k_cot: first of `The answer is (\-?[0-9\.\,]+).`;
//                     gsm8k_cot_llama: last of `The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))`
//   flexible-extract  last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`
// Prediction and gold are then compared as text after `,`, `$`, everything up to "#### " and a trailing '.' are removed and
// letters are lowered (exact_match with ignore_case and the task's regexes_to_ignore).
#pragma once

#include <string_view>

#include "accuracy/verdict.h"

namespace moecap::accuracy {

enum class Gsm8kFilter { kStrictMatch, kFlexibleExtract };

// `gold` is the data set's answer: a worked solution ending in "#### N", or the bare number.
Verdict ScoreGsm8k(std::string_view prediction, std::string_view gold, Gsm8kFilter filter);

Verdict Gsm8kStrictMatch(const Answer& answer);
Verdict Gsm8kCotStrictMatch(const Answer& answer);
Verdict Gsm8kCotLlamaStrictMatch(const Answer& answer);
Verdict Gsm8kFlexibleExtract(const Answer& answer);

// OpenAI's own rule (grade-school-math, dataset.py): `#### N` of both sides, commas removed, compared as text.
Verdict Gsm8kOfficial(const Answer& answer);

}  // namespace moecap::accuracy
