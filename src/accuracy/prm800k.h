// The grader of PRM800K (Lightman et al. 2023, grading/grader.py at 7ecc794), which MLPerf uses for MATH-500: Hendrycks' rule
// first, then a normalisation of its own, tuples by their elements, and values compared as sympy would.
#pragma once

#include <string_view>

namespace moecap::accuracy {

bool Prm800kEqual(std::string_view given, std::string_view truth, bool* gave_up = nullptr);

}  // namespace moecap::accuracy
