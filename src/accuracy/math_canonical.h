// One form for what is written in several ways, without changing what it is.
#pragma once

#include "accuracy/math_expr.h"

namespace moecap::accuracy::math {

// Rationals folded exactly, sums and products flattened with like terms and factors collected and ordered, integer powers of
// numbers computed, square factors drawn out of roots, factorials and binomials of small integers computed. Products are not
// expanded. What would exceed kMostBits stays as it is written.
Expr Canonical(const Expr& expr);

}  // namespace moecap::accuracy::math
