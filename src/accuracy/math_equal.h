// Whether two expressions have the same value.
#pragma once

#include "accuracy/math_expr.h"

namespace moecap::accuracy::math {

// Where the symbols of an expression lie.
enum class Domain { kComplex, kReal };

// Of numbers, expressions and calls (no tuples, sets, matrices, relations: those are never equal here): the same canonical
// form; two rationals are decided by that alone; else, as the last step, the same values at points that depend on the names of
// the symbols only, within the error that evaluating them in 64 bits of mantissa can make. What cannot be evaluated anywhere is
// equal by its canonical form alone.
bool SameValue(const Expr& first, const Expr& second, Domain domain);

// The value of an expression without symbols; null where it has some, is not real or cannot be evaluated.
std::optional<long double> RealValue(const Expr& expr);

// Whether a constant times `first` is `second`, a positive one where `positive`: two equations, or two inequalities, of one
// kind.
bool ProportionalValues(const Expr& first, const Expr& second, bool positive);

}  // namespace moecap::accuracy::math
