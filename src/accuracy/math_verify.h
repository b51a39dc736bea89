// Hugging Face's Math-Verify (0.8.0): answers of any kind, found in a reply, parsed and compared: numbers to six decimals where
// one is a decimal, sets in any order, points and intervals, matrices, equations and inequalities up to a factor, words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "accuracy/math_expr.h"

namespace moecap::accuracy {

// The texts of a reply that may be its answer, the best first: "the final answer is ... I hope", then \boxed and "the final
// answer is", "answer: ...", "answer ...", and any formula or number; of each rank what ends last.
std::vector<std::string> AnswerCandidates(std::string_view reply, bool* gave_up = nullptr);

// Whether an answer, as LaTeX without its dollars, says the same as the gold one. Not symmetric: "x = 5" answers a gold "5".
bool MathVerifyEqual(std::string_view gold, std::string_view answer, bool* gave_up = nullptr);

// The same of a whole reply: its first candidate that can be read. `*found` is what was compared, empty without.
bool MathVerifyReply(std::string_view gold, std::string_view reply, std::string* found, bool* gave_up = nullptr);

namespace math {

// The comparison of two parsed answers.
bool SameAnswer(const Expr& gold, const Expr& answer, bool* gave_up = nullptr);

}  // namespace math
}  // namespace moecap::accuracy
