// From text to an expression tree, in the dialects of the graders.
#pragma once

#include <optional>
#include <string_view>

#include "accuracy/math_expr.h"

namespace moecap::accuracy::math {

enum class Dialect {
  // sympy.parsing.latex: letters are symbols (also e and i), a name before a bracket calls a function, no collections; what
  // cannot continue the expression ends it.
  kSympyLatex,
  // sympy.parsing.sympy_parser with implicit multiplication, of text without LaTeX: names of functions and of Greek letters are
  // whole, others are products of their letters.
  kSympyPlain,
  // Everything that answers are made of: sets, tuples, intervals, unions, matrices, relations, percent, mixed numbers, texts.
  kAnswer,
};

// Null for what the dialect cannot read. `*gave_up` becomes true where a limit of math_expr.h was met; it may be null.
std::optional<Expr> Parse(std::string_view text, Dialect dialect, bool* gave_up = nullptr);

}  // namespace moecap::accuracy::math
