// Mathematical answers as expression trees.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::accuracy::math {

using Integer = boost::multiprecision::cpp_int;
using Rational = boost::multiprecision::cpp_rational;

enum class Kind : uint8_t {
  kNumber,     // number
  kSymbol,     // name
  kConstant,   // name: pi, e, i, infinity
  kText,       // name: words
  kSum,        // parts
  kProduct,    // parts; a / b is a * b^-1
  kPower,      // parts: base, exponent
  kCall,       // name of a function, parts
  kPlusMinus,  // parts: a, b: the two values a + b and a - b
  kTuple,      // open, close, parts: points, intervals
  kSet,        // parts; also a list without brackets
  kUnion,      // name: cup, cap, setminus; parts
  kMatrix,     // parts by rows, columns
  kRelation    // parts; name: the operators between them, separated by blanks: "<= <"
};

struct Expr {
  Kind kind = Kind::kNumber;
  Rational number = 0;
  bool is_decimal = false;  // kNumber: written with a decimal point
  std::string name;
  char open = '(', close = ')';
  size_t columns = 0;
  std::vector<Expr> parts;
};

Expr Number(Rational number);
Expr Symbol(std::string name);
Expr Constant(std::string name);
Expr Node(Kind kind, std::vector<Expr> parts, std::string name = "");
Expr Negated(Expr expr);
Expr Quotient(Expr over, Expr under);
Expr Difference(const Expr& first, const Expr& second);

// Text that two expressions share when and only when they are written alike, part by part.
std::string Key(const Expr& expr);

// No answer that a person would give is larger; what is counts as not readable.
inline constexpr size_t kMostTokens = 4096;
inline constexpr int kMostDepth = 100;
inline constexpr size_t kMostDigits = 1000;  // of a number
inline constexpr unsigned kMostBits = 4096;  // of numerator and denominator of what is computed exactly

}  // namespace moecap::accuracy::math
