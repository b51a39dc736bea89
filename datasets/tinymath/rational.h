// Exact rational numbers for tinymath. No floating point anywhere in the data set.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>

namespace moecap::tinymath {

// A reduced fraction with a positive denominator. Values in this data set stay far below 2^31, so products of
// two of them fit 64 bits; the generator rejects larger results before they are used again.
struct Rational {
  std::int64_t num = 0;
  std::int64_t den = 1;

  constexpr Rational() = default;
  constexpr Rational(std::int64_t n, std::int64_t d = 1) : num(n), den(d) { Reduce(); }  // NOLINT: implicit from integer

  constexpr bool IsInteger() const { return den == 1; }

  friend constexpr Rational operator+(Rational a, Rational b) { return {a.num * b.den + b.num * a.den, a.den * b.den}; }
  friend constexpr Rational operator-(Rational a, Rational b) { return {a.num * b.den - b.num * a.den, a.den * b.den}; }
  friend constexpr Rational operator*(Rational a, Rational b) { return {a.num * b.num, a.den * b.den}; }
  // The divisor must not be zero.
  friend constexpr Rational operator/(Rational a, Rational b) { return {a.num * b.den, a.den * b.num}; }
  friend constexpr bool operator==(Rational a, Rational b) { return a.num == b.num && a.den == b.den; }
  friend constexpr bool operator<(Rational a, Rational b) { return a.num * b.den < b.num * a.den; }

 private:
  constexpr void Reduce() {
    if (den < 0) {
      num = -num;
      den = -den;
    }
    const std::int64_t g = std::gcd(num, den);
    if (g > 1) {
      num /= g;
      den /= g;
    }
  }
};

// True if `value` has at most two decimals (every money amount and measure of the data set does).
constexpr bool HasTwoDecimals(Rational value) { return 100 % value.den == 0; }

// Plain decimal without trailing zeros or thousands separators: 12, 3.5, 0.25. Requires HasTwoDecimals(value) and
// value >= 0.
std::string ToDecimal(Rational value);

// Money in a question: 12, 3.50.
std::string ToMoney(Rational value);

}  // namespace moecap::tinymath
