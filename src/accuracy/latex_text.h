// LaTeX as plain text, in the way that pylatexenc writes what occurs in answers: \frac{a}{b} is "a/b", \sqrt{x} "√(x)", a
// matrix
// "[ a b; c d ]", unknown commands nothing.
#pragma once

#include <string>
#include <string_view>

namespace moecap::accuracy {

std::string LatexAsText(std::string_view latex);

}  // namespace moecap::accuracy
