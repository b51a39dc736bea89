// Minerva's comparison (Lewkowycz et al. 2022, appendix D) as lm-evaluation-harness' minerva_math has it: a normalised text
// read by sympy's parse_latex, equal where the difference simplifies to 0.
#pragma once

#include <string>
#include <string_view>

namespace moecap::accuracy {

std::string MinervaNormalised(std::string_view answer);

// Whether two normalised texts are equal: both can be read, neither is a relation or infinite, the values are the same at
// complex points. There is no shortcut for equal texts: a tuple is not equal to itself.
bool MinervaEqual(std::string_view first, std::string_view second, bool* gave_up = nullptr);

}  // namespace moecap::accuracy
