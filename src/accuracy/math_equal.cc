#include "accuracy/math_equal.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <utility>

#include "accuracy/math_canonical.h"
#include "base/hash.h"

namespace moecap::accuracy::math {
namespace {

using Real = long double;
using Complex = std::complex<Real>;

constexpr Real kEpsilon = std::numeric_limits<Real>::epsilon();

// A value and a bound of its error.
struct Value {
  Complex at;
  Real error = 0;
};
using MaybeValue = std::optional<Value>;

MaybeValue Checked(Complex at, Real error) {
  if (!std::isfinite(at.real()) || !std::isfinite(at.imag()) || !std::isfinite(error)) return std::nullopt;
  // A negative zero would choose the other side of a branch cut.
  return Value{{at.real(), at.imag() == 0 ? Real{0} : at.imag()}, error};
}

Real ToReal(const Rational& number) {
  // Scaled so that long numerators and denominators do not overflow.
  const Integer over = numerator(number), under = denominator(number);
  const auto bits = [](const Integer& n) { return n == 0 ? 0 : static_cast<int>(msb(abs(n))); };
  const int shift = std::max(0, bits(over) - 128), low = std::max(0, bits(under) - 128);
  const Real scaled = static_cast<Real>(Integer(abs(over) >> shift)) / static_cast<Real>(Integer(under >> low));
  return std::ldexp(over < 0 ? -scaled : scaled, shift - low);
}

class Evaluator {
 public:
  Evaluator(Domain domain, uint64_t round) : domain_(domain), round_(round) {}

  MaybeValue Evaluate(const Expr& expr) {
    switch (expr.kind) {
      case Kind::kNumber: {
        const Real value = ToReal(expr.number);
        return Checked({value, 0}, kEpsilon * std::abs(value));
      }
      case Kind::kConstant:
        return ConstantOf(expr.name);
      case Kind::kSymbol:
      case Kind::kText:
        uses_symbols_ = true;
        return Checked(PointOf(expr.name), 0);
      case Kind::kSum:
        return SumOf(expr.parts);
      case Kind::kProduct:
        return ProductOf(expr.parts);
      case Kind::kPower:
        return PowerOf(expr.parts[0], expr.parts[1]);
      case Kind::kCall:
        return CallOf(expr);
      default:
        return std::nullopt;
    }
  }

  bool uses_symbols() const { return uses_symbols_; }

 private:
  static MaybeValue ConstantOf(const std::string& name) {
    if (name == "pi") return Value{{std::acos(Real{-1}), 0}, 4 * kEpsilon};
    if (name == "e") return Value{{std::exp(Real{1}), 0}, 4 * kEpsilon};
    if (name == "i") return Value{{0, 1}, 0};
    return std::nullopt;
  }

  // A number in 0..1 that belongs to the name and the round.
  Real Share(const std::string& name, uint64_t salt) const {
    return static_cast<Real>(HashOf(name, round_ * 64 + salt) >> 11) / static_cast<Real>(1ULL << 53);
  }
  Complex PointOf(const std::string& name) const {
    const Real size = Real{0.3} + Real{1.4} * Share(name, 0);
    if (domain_ == Domain::kReal) return {Share(name, 1) < Real{0.5} ? -size : size, 0};
    return std::polar(size, Real{0.2} + Real{2.4} * Share(name, 1));
  }

  MaybeValue SumOf(const std::vector<Expr>& parts) {
    Value sum;
    for (const Expr& part : parts) {
      const MaybeValue value = Evaluate(part);
      if (!value) return std::nullopt;
      sum.at += value->at;
      sum.error += value->error + kEpsilon * (std::abs(value->at) + std::abs(sum.at));
    }
    return Checked(sum.at, sum.error);
  }

  MaybeValue ProductOf(const std::vector<Expr>& parts) {
    Value product{{1, 0}, 0};
    for (const Expr& part : parts) {
      const MaybeValue value = Evaluate(part);
      if (!value) return std::nullopt;
      const Complex at = product.at * value->at;
      product.error = std::abs(product.at) * value->error + std::abs(value->at) * product.error + product.error * value->error +
                      4 * kEpsilon * std::abs(at);
      product.at = at;
    }
    return Checked(product.at, product.error);
  }

  MaybeValue PowerOf(const Expr& base_expr, const Expr& exponent_expr) {
    const MaybeValue base = Evaluate(base_expr), exponent = Evaluate(exponent_expr);
    if (!base || !exponent) return std::nullopt;
    if (std::abs(base->at) <= base->error) {
      if (exponent->at.real() <= 0 || base->error > 0) return std::nullopt;
      return Checked(0, 0);
    }
    const bool real = base->at.imag() == 0 && exponent->at.imag() == 0;
    const bool whole = real && exponent->at.real() == std::nearbyint(exponent->at.real());
    Complex power;
    if (real && (base->at.real() > 0 || whole)) {
      power = std::pow(base->at.real(), exponent->at.real());
    } else if (exponent->at.imag() == 0 && exponent->at.real() == std::nearbyint(exponent->at.real()) &&
               std::abs(exponent->at.real()) <= 64) {
      power = std::pow(base->at, static_cast<int>(exponent->at.real()));
    } else {
      power = std::exp(exponent->at * std::log(base->at));
    }
    const Real relative = std::abs(exponent->at) * base->error / std::abs(base->at) +
                          std::abs(std::log(base->at)) * exponent->error +
                          16 * kEpsilon * (1 + std::abs(exponent->at * std::log(base->at)));
    return Checked(power, std::abs(power) * relative);
  }

  MaybeValue CallOf(const Expr& call) {
    std::vector<Value> arguments;
    for (const Expr& part : call.parts) {
      const MaybeValue value = Evaluate(part);
      if (!value) return std::nullopt;
      arguments.push_back(*value);
    }
    if (call.name == "gcd" || call.name == "lcm" || call.name == "max" || call.name == "min" || call.name == "det" ||
        arguments.empty())
      return std::nullopt;
    if (call.name == "floor" || call.name == "ceil") return Rounded(call.name == "floor", arguments[0]);
    const auto at = [&](const std::vector<Complex>& points) { return FunctionAt(call.name, points); };
    std::vector<Complex> points, moved;
    for (const Value& argument : arguments) {
      points.push_back(argument.at);
      moved.push_back(argument.at + std::max(argument.error, kEpsilon * std::abs(argument.at)));
    }
    const std::optional<Complex> value = at(points), near = at(moved);
    if (!value || !near) return std::nullopt;
    return Checked(*value, 4 * std::abs(*near - *value) + 16 * kEpsilon * std::abs(*value));
  }

  static MaybeValue Rounded(bool down, const Value& value) {
    const Real whole = std::nearbyint(value.at.real());
    if (value.at.imag() != 0) return std::nullopt;
    if (std::abs(value.at.real() - whole) <= value.error) return Value{{whole, 0}, 0};
    return Value{{down ? std::floor(value.at.real()) : std::ceil(value.at.real()), 0}, 0};
  }

  std::optional<Complex> FunctionAt(const std::string& name, const std::vector<Complex>& x) const {
    if (name == "log" && x.size() == 2) return std::log(x[0]) / std::log(x[1]);
    if (name == "binomial" && x.size() == 2) {
      if (x[0].imag() != 0 || x[1].imag() != 0) return std::nullopt;
      const Real n = x[0].real(), k = x[1].real();
      return Complex(std::tgamma(n + 1) / (std::tgamma(k + 1) * std::tgamma(n - k + 1)));
    }
    if (name.starts_with("function ")) {
      // Some smooth function that belongs to the name.
      Complex sum = Share(name, 0);
      for (size_t i = 0; i < x.size(); ++i) sum += std::sin(x[i] * (1 + Share(name, 2 * i + 1)) + Share(name, 2 * i + 2));
      return sum;
    }
    if (x.size() != 1) return std::nullopt;
    const std::pair<const char*, Complex (*)(const Complex&)> functions[] = {
        {"sin", [](const Complex& z) { return std::sin(z); }},
        {"cos", [](const Complex& z) { return std::cos(z); }},
        {"tan", [](const Complex& z) { return std::tan(z); }},
        {"cot", [](const Complex& z) { return Real{1} / std::tan(z); }},
        {"sec", [](const Complex& z) { return Real{1} / std::cos(z); }},
        {"csc", [](const Complex& z) { return Real{1} / std::sin(z); }},
        {"arcsin", [](const Complex& z) { return std::asin(z); }},
        {"arccos", [](const Complex& z) { return std::acos(z); }},
        {"arctan", [](const Complex& z) { return std::atan(z); }},
        {"asin", [](const Complex& z) { return std::asin(z); }},
        {"acos", [](const Complex& z) { return std::acos(z); }},
        {"atan", [](const Complex& z) { return std::atan(z); }},
        {"sinh", [](const Complex& z) { return std::sinh(z); }},
        {"cosh", [](const Complex& z) { return std::cosh(z); }},
        {"tanh", [](const Complex& z) { return std::tanh(z); }},
        {"exp", [](const Complex& z) { return std::exp(z); }},
        {"ln", [](const Complex& z) { return std::log(z); }},
        {"log", [](const Complex& z) { return std::log(z); }},
        {"lg", [](const Complex& z) { return std::log10(z); }},
        {"abs", [](const Complex& z) { return Complex(std::abs(z)); }},
        {"factorial", [](const Complex& z) { return Complex(z.imag() == 0 ? std::tgamma(z.real() + 1) : std::nan("")); }}};
    for (const auto& [known, function] : functions) {
      if (name == known) return function(x[0]);
    }
    return std::nullopt;
  }

  const Domain domain_;
  const uint64_t round_;
  bool uses_symbols_ = false;
};

// Whether the value says anything: it may not be all error.
bool IsSharp(const Value& value) { return value.error <= Real{1e-9} * std::max(Real{1}, std::abs(value.at)); }

bool Near(const Value& a, const Value& b) { return std::abs(a.at - b.at) <= 8 * (a.error + b.error); }

constexpr uint64_t kRounds = 6;
constexpr int kEnough = 3;

}  // namespace

bool SameValue(const Expr& first, const Expr& second, Domain domain) {
  const Expr a = Canonical(first), b = Canonical(second);
  if (Key(a) == Key(b)) return true;
  if (a.kind == Kind::kNumber && b.kind == Kind::kNumber) return false;
  int agreeing = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    Evaluator evaluator(domain, round);
    const MaybeValue value_a = evaluator.Evaluate(a), value_b = evaluator.Evaluate(b);
    if (!value_a || !value_b || !IsSharp(*value_a) || !IsSharp(*value_b)) continue;
    if (!Near(*value_a, *value_b)) return false;
    if (!evaluator.uses_symbols() || ++agreeing == kEnough) return true;
  }
  return false;
}

std::optional<long double> RealValue(const Expr& expr) {
  const Expr canonical = Canonical(expr);
  if (canonical.kind == Kind::kConstant && canonical.name == "infinity") return std::numeric_limits<long double>::infinity();
  Evaluator evaluator(Domain::kReal, 0);
  const MaybeValue value = evaluator.Evaluate(canonical);
  if (!value || evaluator.uses_symbols() || std::abs(value->at.imag()) > value->error) return std::nullopt;
  return value->at.real();
}

bool ProportionalValues(const Expr& first, const Expr& second, bool positive) {
  const Expr a = Canonical(first), b = Canonical(second);
  std::optional<Value> ratio;
  int agreeing = 0;
  for (uint64_t round = 0; round < kRounds; ++round) {
    Evaluator evaluator(Domain::kReal, round);
    const MaybeValue value_a = evaluator.Evaluate(a), value_b = evaluator.Evaluate(b);
    if (!value_a || !value_b || std::abs(value_a->at) <= 1e3 * value_a->error || std::abs(value_b->at) <= 1e3 * value_b->error)
      continue;
    const Complex quotient = value_a->at / value_b->at;
    const Value next{quotient, std::abs(quotient) * (value_a->error / std::abs(value_a->at) +
                                                     value_b->error / std::abs(value_b->at) + 4 * kEpsilon)};
    if (ratio && !Near(*ratio, next)) return false;
    if (positive && next.at.real() <= 0) return false;
    ratio = next;
    if (++agreeing == kEnough) return true;
  }
  return false;
}

}  // namespace moecap::accuracy::math
