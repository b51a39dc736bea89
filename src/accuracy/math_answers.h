// Scorers of mathematical answers: where a reference looks for the answer, and its grader.
#pragma once

#include "accuracy/verdict.h"

namespace moecap::accuracy {

// lm-evaluation-harness 4e7e0d4.
Verdict MinervaExactMatch(const Answer& answer);  // minerva_math 3: MinervaAnswer, MinervaEqual
// minerva_math 3.1 (lm-eval 0.4.13): version 3, or equal as text, which lets what it cannot subtract equal itself: points,
// intervals.
Verdict MinervaExactMatchOrSame(const Answer& answer);
Verdict HendrycksExactMatch(const Answer& answer);  // hendrycks_math 1: BetweenDollars, HendrycksEqual

// Math-Verify 0.8.0 on the whole reply, as minerva_math 3 calls it.
Verdict MathVerifyScore(const Answer& answer);

// MLPerf Inference, language/deepseek-r1/eval_accuracy.py: LastBoxedInBraces, Prm800kEqual.
Verdict MlperfMath(const Answer& answer);

// LastBoxed by the benchmarks' own graders: hendrycks/math, and PRM800K for its MATH-500.
Verdict HendrycksBoxed(const Answer& answer);
Verdict Prm800kBoxed(const Answer& answer);

}  // namespace moecap::accuracy
