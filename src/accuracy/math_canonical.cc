#include "accuracy/math_canonical.h"

#include <algorithm>
#include <map>
#include <utility>

namespace moecap::accuracy::math {
namespace {

bool IsNumber(const Expr& expr) { return expr.kind == Kind::kNumber; }
bool IsInteger(const Expr& expr) { return IsNumber(expr) && denominator(expr.number) == 1; }

unsigned Bits(const Integer& number) { return number == 0 ? 1 : static_cast<unsigned>(msb(abs(number))) + 1; }
unsigned Bits(const Rational& number) { return std::max(Bits(numerator(number)), Bits(denominator(number))); }
bool Fits(const Rational& a, const Rational& b) { return Bits(a) + Bits(b) < kMostBits; }

// base^exponent of an exponent that fits, null where the result would not.
std::optional<Rational> IntegerPower(const Rational& base, const Integer& exponent) {
  if (exponent == 0) return base == 0 ? std::nullopt : std::optional<Rational>(1);
  if (base == 0) return exponent > 0 ? std::optional<Rational>(0) : std::nullopt;
  if (Bits(exponent) > 31) return base == 1 ? std::optional<Rational>(1) : std::nullopt;
  const auto count = static_cast<unsigned>(abs(exponent));
  if (static_cast<uint64_t>(Bits(base)) * count > kMostBits && abs(base) != 1) return std::nullopt;
  const Integer over = pow(numerator(base), count), under = pow(denominator(base), count);
  return exponent > 0 ? Rational(over, under) : Rational(under, over);
}

// Divides out of `radicand` (> 0) the largest root-th power of its prime factors below 1,000, or of all of it, and returns its
// root.
Integer DrawOut(Integer& radicand, unsigned root) {
  Integer drawn = 1;
  for (unsigned prime = 2; prime < 1000 && radicand > 1; ++prime) {
    const Integer power = pow(Integer(prime), root);
    if (power > radicand) break;
    while (radicand % power == 0) {
      radicand /= power;
      drawn *= prime;
    }
  }
  if (root == 2 && radicand > 1) {
    const Integer whole = sqrt(radicand);
    if (whole * whole == radicand) {
      radicand = 1;
      drawn *= whole;
    }
  }
  return drawn;
}

// number^(p/q) with 0 < p/q not whole and number > 0: a rational times roots of integers.
Expr RootOf(const Rational& number, const Rational& exponent) {
  const Integer p = numerator(exponent), q = denominator(exponent);
  const std::optional<Rational> raised = Bits(p) < 16 && Bits(q) < 6 ? IntegerPower(number, p) : std::nullopt;
  if (!raised || Bits(*raised) > 512) return Node(Kind::kPower, {Number(number), Number(exponent)});
  const auto root = static_cast<unsigned>(q);
  // (a/b)^(1/q) = (a b^(q-1))^(1/q) / b.
  const Integer under = denominator(*raised);
  Integer radicand = numerator(*raised) * pow(under, root - 1);
  const Rational outside(DrawOut(radicand, root), under);
  if (radicand == 1) return Number(outside);
  Expr irrational = Node(Kind::kPower, {Number(radicand), Number(Rational(1, root))});
  if (outside == 1) return irrational;
  return Node(Kind::kProduct, {Number(outside), std::move(irrational)});
}

// The number in front of a canonical term, and the rest, whose place is empty for a number.
std::pair<Rational, Expr> Split(Expr term) {
  if (IsNumber(term)) return {term.number, Node(Kind::kProduct, {})};
  if (term.kind != Kind::kProduct || !IsNumber(term.parts[0])) return {1, std::move(term)};
  const Rational coefficient = term.parts[0].number;
  term.parts.erase(term.parts.begin());
  if (term.parts.size() == 1) return {coefficient, Expr(term.parts[0])};
  return {coefficient, std::move(term)};
}

bool IsOne(const Expr& rest) { return rest.kind == Kind::kProduct && rest.parts.empty(); }

Expr Join(const Rational& coefficient, Expr rest) {
  if (IsOne(rest)) return Number(coefficient);
  if (coefficient == 0) return Number(0);
  if (coefficient == 1) return rest;
  std::vector<Expr> parts{Number(coefficient)};
  if (rest.kind == Kind::kProduct) {
    for (Expr& part : rest.parts) parts.push_back(std::move(part));
  } else {
    parts.push_back(std::move(rest));
  }
  return Node(Kind::kProduct, std::move(parts));
}

Expr CanonicalSum(std::vector<Expr> terms) {
  std::map<std::string, std::pair<Rational, Expr>> collected;
  std::vector<Expr> too_large;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].kind == Kind::kSum) {
      std::vector<Expr> inner = std::move(terms[i].parts);
      terms.insert(terms.end(), std::make_move_iterator(inner.begin()), std::make_move_iterator(inner.end()));
      continue;
    }
    auto [coefficient, rest] = Split(std::move(terms[i]));
    const std::string key = Key(rest);
    const auto [place, is_new] = collected.try_emplace(key, coefficient, rest);
    if (is_new) continue;
    if (Fits(place->second.first, coefficient)) {
      place->second.first += coefficient;
    } else {
      too_large.push_back(Join(coefficient, std::move(rest)));
    }
  }
  std::vector<Expr> parts;
  for (auto& [key, term] : collected) {
    if (term.first != 0) parts.push_back(Join(term.first, std::move(term.second)));
  }
  for (Expr& term : too_large) parts.push_back(std::move(term));
  if (parts.empty()) return Number(0);
  return parts.size() == 1 ? std::move(parts[0]) : Node(Kind::kSum, std::move(parts));
}

Expr CanonicalPower(Expr base, Expr exponent);

Expr CanonicalProduct(std::vector<Expr> factors) {
  Rational coefficient = 1;
  std::map<std::string, std::pair<Expr, std::vector<Expr>>> collected;  // base -> exponents
  std::vector<Expr> too_large;
  for (size_t i = 0; i < factors.size(); ++i) {
    if (factors[i].kind == Kind::kProduct) {
      std::vector<Expr> inner = std::move(factors[i].parts);
      factors.insert(factors.end(), std::make_move_iterator(inner.begin()), std::make_move_iterator(inner.end()));
    } else if (IsNumber(factors[i])) {
      if (Fits(coefficient, factors[i].number)) {
        coefficient *= factors[i].number;
      } else {
        too_large.push_back(std::move(factors[i]));
      }
    } else {
      const bool is_power = factors[i].kind == Kind::kPower;
      Expr base = is_power ? factors[i].parts[0] : factors[i];
      Expr exponent = is_power ? factors[i].parts[1] : Number(1);
      const std::string key = Key(base);
      auto place = collected.try_emplace(key, std::move(base), std::vector<Expr>()).first;
      place->second.second.push_back(std::move(exponent));
    }
  }
  if (coefficient == 0) return Number(0);
  std::vector<Expr> parts;
  bool again = false;
  for (auto& [key, factor] : collected) {
    const bool merged = factor.second.size() > 1;
    Expr exponent = merged ? CanonicalSum(std::move(factor.second)) : std::move(factor.second[0]);
    Expr power = merged ? CanonicalPower(std::move(factor.first), std::move(exponent))
                        : (IsNumber(exponent) && exponent.number == 1
                               ? std::move(factor.first)
                               : Node(Kind::kPower, {std::move(factor.first), std::move(exponent)}));
    again |= merged && (IsNumber(power) || power.kind == Kind::kProduct);
    if (!IsNumber(power) || power.number != 1) parts.push_back(std::move(power));
  }
  for (Expr& factor : too_large) parts.push_back(std::move(factor));
  if (again) {
    parts.push_back(Number(coefficient));
    return CanonicalProduct(std::move(parts));
  }
  Expr rest = parts.size() == 1 ? std::move(parts[0]) : Node(Kind::kProduct, std::move(parts));
  return Join(coefficient, std::move(rest));
}

Expr CanonicalPower(Expr base, Expr exponent) {
  if (!IsNumber(exponent)) return Node(Kind::kPower, {std::move(base), std::move(exponent)});
  if (exponent.number == 1) return base;
  if (IsNumber(base)) {
    if (IsInteger(exponent)) {
      if (auto power = IntegerPower(base.number, numerator(exponent.number))) return Number(std::move(*power));
    } else if (base.number > 0 && exponent.number > 0) {
      return RootOf(base.number, exponent.number);
    } else if (base.number > 0 && exponent.number < 0) {
      return RootOf(Rational(denominator(base.number), numerator(base.number)), -exponent.number);
    }
    return Node(Kind::kPower, {std::move(base), std::move(exponent)});
  }
  if (!IsInteger(exponent)) return Node(Kind::kPower, {std::move(base), std::move(exponent)});
  // (a b)^n and (a^m)^n for whole n.
  if (base.kind == Kind::kProduct) {
    for (Expr& factor : base.parts) factor = CanonicalPower(std::move(factor), exponent);
    return CanonicalProduct(std::move(base.parts));
  }
  if (base.kind == Kind::kPower && IsNumber(base.parts[1]) && Fits(base.parts[1].number, exponent.number)) {
    Expr inner = std::move(base.parts[0]);
    return CanonicalPower(std::move(inner), Number(base.parts[1].number * exponent.number));
  }
  return Node(Kind::kPower, {std::move(base), std::move(exponent)});
}

// Factorials and binomials that fit.
std::optional<Rational> Combinatorial(const Expr& call) {
  if (call.name != "factorial" && call.name != "binomial") return std::nullopt;
  constexpr int kMost = 200;
  for (const Expr& part : call.parts) {
    if (!IsInteger(part) || part.number < 0 || part.number > kMost) return std::nullopt;
  }
  const auto count = static_cast<int>(numerator(call.parts[0].number));
  Integer product = 1;
  if (call.name == "factorial") {
    for (int i = 2; i <= count; ++i) product *= i;
    return Rational(product);
  }
  const auto chosen = static_cast<int>(numerator(call.parts[1].number));
  if (chosen > count) return Rational(0);
  for (int i = 1; i <= chosen; ++i) product = product * (count - chosen + i) / i;
  return Rational(product);
}

}  // namespace

Expr Canonical(const Expr& expr) {
  Expr canonical = expr;
  for (Expr& part : canonical.parts) part = Canonical(part);
  switch (canonical.kind) {
    case Kind::kSum:
      return CanonicalSum(std::move(canonical.parts));
    case Kind::kProduct:
      return CanonicalProduct(std::move(canonical.parts));
    case Kind::kPower: {
      Expr base = std::move(canonical.parts[0]), exponent = std::move(canonical.parts[1]);
      return CanonicalPower(std::move(base), std::move(exponent));
    }
    case Kind::kCall:
      if (auto number = Combinatorial(canonical)) return Number(std::move(*number));
      if (canonical.name == "abs" && IsNumber(canonical.parts[0])) return Number(abs(canonical.parts[0].number));
      return canonical;
    default:
      return canonical;
  }
}

}  // namespace moecap::accuracy::math
