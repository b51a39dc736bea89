// ROUGE-L as the Python package `rouge` 1.0.1 (pltrdy/rouge) computes it, which LongBench uses.
#pragma once

#include <string_view>

namespace moecap::accuracy {

// F of rouge-l, in [0, 1). Texts are split into sentences at '.', these into words at blanks; letter case counts. Of every pair
// of a sentence of `gold` and one of `prediction` one longest common subsequence is taken; u is the number of distinct words in
// all of them. R = u / distinct words of gold, P = u / distinct words of prediction, F = 2 P R / (P + R + 1e-8).
//
// 0 where the package raises an exception, as LongBench has it: for a text without a sentence, and where reading a subsequence
// back takes more than 990 steps (it recurses, and Python allows 1000 frames): long texts without a single '.'.
double RougeL(std::string_view prediction, std::string_view gold);

}  // namespace moecap::accuracy
