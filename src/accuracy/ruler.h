// RULER's string matches (NVIDIA/RULER at c3f5e3b: scripts/eval/synthetic/constants.py, evaluate.py). A task's score is the
// mean over its samples, times 100, rounded to 2 decimals; the benchmark's is the mean over the 13 tasks of a length.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace moecap::accuracy {

// Without outer blanks, control characters below U+0020 as line ends.
std::string RulerPostprocessed(std::string_view prediction);

// string_match_all: the share of `outputs` that stand somewhere in the postprocessed prediction, whatever their letter case. 0
// for no outputs. lm-evaluation-harness scores the question-answering tasks by this, too.
double RulerMatchAll(std::string_view prediction, std::span<const std::string> outputs);

// string_match_part: 1 when any of `outputs` stands there, else 0. The official score of qa_1 and qa_2.
double RulerMatchPart(std::string_view prediction, std::span<const std::string> outputs);

}  // namespace moecap::accuracy
