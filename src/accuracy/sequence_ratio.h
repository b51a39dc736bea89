// How alike two sequences are, as Python's difflib.SequenceMatcher says (Ratcliff and Obershelp 1988, with difflib's rule that
// frequent elements of a long second sequence start no match).
#pragma once

#include <string_view>

namespace moecap::accuracy {

// SequenceMatcher(None, a, b).ratio(): 2 M / (|a| + |b|) in [0, 1], 1 for two empty ones. M sums the longest common block of
// both, taken first, and those of what is left and right of it. An element that makes up more than 1 % of a `b` of 200 or more
// starts no block.
double SequenceRatio(std::u32string_view a, std::u32string_view b);

// fuzzywuzzy's fuzz.ratio on difflib, percent in 0..100: the rounded ratio; 100 for equal texts, else 0 where one is empty.
int FuzzyPercent(std::string_view a, std::string_view b);

}  // namespace moecap::accuracy
