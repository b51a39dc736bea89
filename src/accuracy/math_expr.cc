#include "accuracy/math_expr.h"

#include <utility>

namespace moecap::accuracy::math {

Expr Number(Rational number) {
  Expr expr;
  expr.number = std::move(number);
  return expr;
}

Expr Symbol(std::string name) { return Node(Kind::kSymbol, {}, std::move(name)); }
Expr Constant(std::string name) { return Node(Kind::kConstant, {}, std::move(name)); }

Expr Node(Kind kind, std::vector<Expr> parts, std::string name) {
  Expr expr;
  expr.kind = kind;
  expr.parts = std::move(parts);
  expr.name = std::move(name);
  return expr;
}

Expr Negated(Expr expr) {
  if (expr.kind == Kind::kNumber) {
    expr.number = -expr.number;
    return expr;
  }
  return Node(Kind::kProduct, {Number(-1), std::move(expr)});
}

Expr Quotient(Expr over, Expr under) {
  return Node(Kind::kProduct, {std::move(over), Node(Kind::kPower, {std::move(under), Number(-1)})});
}

Expr Difference(const Expr& first, const Expr& second) { return Node(Kind::kSum, {first, Negated(second)}); }

namespace {

void AppendKey(const Expr& expr, std::string& key) {
  if (expr.kind == Kind::kNumber) {
    key += expr.number.str();
    return;
  }
  key += static_cast<char>('a' + static_cast<int>(expr.kind));
  key += expr.name;
  if (expr.kind == Kind::kTuple) key += {expr.open, expr.close};
  if (expr.kind == Kind::kMatrix) key += std::to_string(expr.columns);
  key += '(';
  for (const Expr& part : expr.parts) {
    AppendKey(part, key);
    key += ',';
  }
  key += ')';
}

}  // namespace

std::string Key(const Expr& expr) {
  std::string key;
  AppendKey(expr, key);
  return key;
}

}  // namespace moecap::accuracy::math
