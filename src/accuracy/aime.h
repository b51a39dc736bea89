// AIME: integers from 0 to 999.
#pragma once

#include "accuracy/verdict.h"

namespace moecap::accuracy {

// lm-evaluation-harness 4e7e0d4 (aime24, aime25): the boxed text, else what stands between the first and the last "$", else
// all, by HendrycksEqual. "025" is not 25 there.
Verdict AimeLmEval(const Answer& answer);

// MLPerf Inference, language/deepseek-r1/eval_accuracy.py: the last `\boxed{N}`, else the last "Answer: N", as integers.
Verdict AimeMlperf(const Answer& answer);

}  // namespace moecap::accuracy
