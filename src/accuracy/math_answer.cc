// Two parsed answers compared, kind by kind.
#include <algorithm>
#include <cmath>
#include <utility>

#include "accuracy/math_canonical.h"
#include "accuracy/math_equal.h"
#include "accuracy/math_verify.h"
#include "accuracy/text.h"

namespace moecap::accuracy::math {
namespace {

// Comparisons of parts that one answer may take.
constexpr int kMostComparisons = 20'000;

bool IsCollection(const Expr& expr) {
  return expr.kind == Kind::kTuple || expr.kind == Kind::kSet || expr.kind == Kind::kUnion;
}
bool IsPair(const Expr& expr) { return expr.kind == Kind::kTuple && expr.parts.size() == 2; }
bool IsOpenPair(const Expr& expr) { return IsPair(expr) && expr.open == '(' && expr.close == ')'; }

bool HasOnly(const std::string& operators, std::initializer_list<std::string_view> allowed) {
  for (std::string_view rest = operators; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    if (std::find(allowed.begin(), allowed.end(), rest.substr(0, end)) == allowed.end()) return false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

bool IsEquation(const Expr& expr) { return expr.kind == Kind::kRelation && HasOnly(expr.name, {"=", "in"}); }

bool IsOnlySymbols(const Expr& expr) {
  if (expr.kind == Kind::kSymbol || expr.kind == Kind::kText) return true;
  if (expr.kind == Kind::kCall) return expr.name.starts_with("function ");
  return (expr.kind == Kind::kProduct || expr.kind == Kind::kTuple || expr.kind == Kind::kSet) && !expr.parts.empty() &&
         std::all_of(expr.parts.begin(), expr.parts.end(), IsOnlySymbols);
}
bool IsAssignment(const Expr& expr) { return IsEquation(expr) && IsOnlySymbols(expr.parts[0]); }

// The words that a text or letters side by side make; null for anything else.
std::optional<std::string> Words(const Expr& expr) {
  if (expr.kind == Kind::kText || expr.kind == Kind::kSymbol || (expr.kind == Kind::kConstant && expr.name == "e")) {
    std::string words = LowerCase(expr.name);
    std::erase_if(words, [](char c) { return c == ' ' || c == '(' || c == ')' || c == '.'; });
    return words;
  }
  if (expr.kind != Kind::kProduct) return std::nullopt;
  std::string words;
  for (const Expr& part : expr.parts) {
    const auto word = Words(part);
    if (!word) return std::nullopt;
    words += *word;
  }
  return words;
}

// A plain number or a percentage of one, as it was written.
const Expr* AtomicNumber(const Expr& expr) {
  if (expr.kind == Kind::kNumber) return &expr;
  const bool is_percent = expr.kind == Kind::kProduct && expr.parts.size() == 2 && expr.parts[0].kind == Kind::kNumber &&
                          expr.parts[1].kind == Kind::kNumber && expr.parts[1].number == Rational(1, 100);
  return is_percent ? &expr.parts[0] : nullptr;
}

// Each `a ± b` inside a list gives two elements.
void AppendElements(const Expr& expr, std::vector<Expr>& elements) {
  if (expr.kind == Kind::kSet) {
    for (const Expr& part : expr.parts) AppendElements(part, elements);
  } else if (expr.kind == Kind::kPlusMinus) {
    elements.push_back(Node(Kind::kSum, expr.parts));
    elements.push_back(Node(Kind::kSum, {expr.parts[0], Negated(expr.parts[1])}));
  } else {
    elements.push_back(expr);
  }
}

Expr AsSet(const Expr& expr) {
  std::vector<Expr> elements;
  AppendElements(expr, elements);
  return Node(Kind::kSet, std::move(elements));
}

// "x < 3", "1 <= x < 2" as intervals; null for what is none.
std::optional<Expr> AsInterval(const Expr& relation) {
  const bool less = HasOnly(relation.name, {"<", "<="}), greater = HasOnly(relation.name, {">", ">="});
  if (!less && !greater) return std::nullopt;
  std::vector<Expr> sides = relation.parts;
  std::vector<bool> closed;
  for (size_t i = 0; i < relation.name.size(); ++i) {
    if (relation.name[i] == '<' || relation.name[i] == '>') closed.push_back(relation.name.substr(i + 1, 1) == "=");
  }
  if (greater) {
    std::reverse(sides.begin(), sides.end());
    std::reverse(closed.begin(), closed.end());
  }
  const auto infinite = [](bool negative) { return negative ? Negated(Constant("infinity")) : Constant("infinity"); };
  Expr interval = Node(Kind::kTuple, {});
  bool low_closed = false, high_closed = false;
  if (sides.size() == 2 && sides[0].kind == Kind::kSymbol) {
    interval.parts = {infinite(true), sides[1]};
    high_closed = closed[0];
  } else if (sides.size() == 2 && sides[1].kind == Kind::kSymbol) {
    interval.parts = {sides[0], infinite(false)};
    low_closed = closed[0];
  } else if (sides.size() == 3 && sides[1].kind == Kind::kSymbol) {
    interval.parts = {sides[0], sides[2]};
    low_closed = closed[0];
    high_closed = closed[1];
  } else {
    return std::nullopt;
  }
  interval.open = low_closed ? '[' : '(';
  interval.close = high_closed ? ']' : ')';
  return interval;
}

class Comparer {
 public:
  explicit Comparer(bool* gave_up) : gave_up_(gave_up) {}

  bool Same(Expr gold, Expr answer) {
    if (++comparisons_ > kMostComparisons) {
      *gave_up_ = true;
      return false;
    }
    Unwrap(gold, answer);
    if (gold.kind == Kind::kRelation && IsCollection(answer)) {
      if (auto interval = AsInterval(gold)) gold = std::move(*interval);
    }
    if (Key(gold) == Key(answer)) return true;
    if (gold.kind == Kind::kRelation || answer.kind == Kind::kRelation)
      return gold.kind == answer.kind && SameRelation(gold, answer);
    if (gold.kind == Kind::kPlusMinus || answer.kind == Kind::kPlusMinus || IsCollection(gold) || IsCollection(answer))
      return SameCollection(gold, answer);
    if (gold.kind == Kind::kMatrix || answer.kind == Kind::kMatrix)
      return gold.kind == answer.kind && gold.columns == answer.columns && SameInOrder(gold.parts, answer.parts);
    return SameScalar(gold, answer);
  }

 private:
  // "x = 5" answers "5", and "5" a gold "x = 5"; chains keep their ends.
  static void Unwrap(Expr& gold, Expr& answer) {
    const bool gold_assigns = IsAssignment(gold), gold_equates = IsEquation(gold), answer_equates = IsEquation(answer);
    for (auto* side : {&gold, &answer}) {
      if (IsAssignment(*side) && side->parts.size() > 2) {
        std::vector<Expr> ends{side->parts.front(), side->parts.back()};
        *side = Node(Kind::kRelation, std::move(ends), "=");
      }
    }
    if (answer_equates && !gold_equates) {
      answer = Expr(answer.parts.back());
    } else if (gold_assigns && !answer_equates) {
      gold = Expr(gold.parts.back());
    }
  }

  bool SameInOrder(const std::vector<Expr>& gold, const std::vector<Expr>& answer) {
    if (gold.size() != answer.size()) return false;
    for (size_t i = 0; i < gold.size(); ++i) {
      if (!Same(gold[i], answer[i])) return false;
    }
    return true;
  }

  // Each element of the one has its own in the other.
  bool SameInAnyOrder(const std::vector<Expr>& gold, const std::vector<Expr>& answer) {
    if (gold.size() != answer.size()) return false;
    std::vector<bool> taken(answer.size());
    for (const Expr& element : gold) {
      size_t i = 0;
      while (i < answer.size() && (taken[i] || !Same(element, answer[i]))) ++i;
      if (i == answer.size()) return false;
      taken[i] = true;
    }
    return true;
  }

  static void Flatten(const Expr& expr, std::vector<Expr>& parts) {
    if (expr.kind == Kind::kUnion && expr.name == "cup") {
      for (const Expr& part : expr.parts) Flatten(part, parts);
    } else {
      parts.push_back(expr);
    }
  }

  // Which ends of an interval are open; one at infinity is, whatever its bracket.
  static std::pair<bool, bool> OpenEnds(const Expr& pair) {
    const auto is_infinite = [](const Expr& end) {
      return (end.kind == Kind::kConstant && end.name == "infinity") ||
             (end.kind == Kind::kProduct && end.parts.back().kind == Kind::kConstant && end.parts.back().name == "infinity");
    };
    return {pair.open == '(' || is_infinite(pair.parts[0]), pair.close == ')' || is_infinite(pair.parts[1])};
  }

  bool SameCollection(const Expr& gold, const Expr& answer) {
    if (gold.kind == Kind::kUnion || answer.kind == Kind::kUnion) {
      if (gold.kind != answer.kind || gold.name != answer.name) return false;
      if (gold.name != "cup") return SameInOrder(gold.parts, answer.parts);
      std::vector<Expr> gold_parts, answer_parts;
      Flatten(gold, gold_parts);
      Flatten(answer, answer_parts);
      return SameInAnyOrder(gold_parts, answer_parts);
    }
    if (gold.kind == Kind::kTuple && answer.kind == Kind::kTuple) {
      if (IsPair(gold) && IsPair(answer) && (OpenEnds(gold) != OpenEnds(answer))) return false;
      return SameInOrder(gold.parts, answer.parts);
    }
    // A point or an open interval written without its brackets: a list in the same order.
    const auto is_point = [](const Expr& expr) {
      return IsOpenPair(expr) || (expr.kind == Kind::kTuple && expr.parts.size() > 2);
    };
    if (is_point(gold) && answer.kind == Kind::kSet && answer.parts.size() == gold.parts.size())
      return SameInOrder(gold.parts, answer.parts);
    if (is_point(answer) && gold.kind == Kind::kSet && gold.parts.size() == answer.parts.size())
      return SameInOrder(gold.parts, answer.parts);
    const Expr gold_set = AsSet(gold), answer_set = AsSet(answer);
    if (gold_set.parts.size() == 1 && answer_set.parts.size() == 1) {
      const bool was_set = gold.kind == Kind::kSet || answer.kind == Kind::kSet || gold.kind == Kind::kPlusMinus;
      return was_set && Same(gold_set.parts[0], answer_set.parts[0]);
    }
    return SameInAnyOrder(gold_set.parts, answer_set.parts);
  }

  bool SameRelation(const Expr& gold, const Expr& answer) {
    if (gold.parts.size() != answer.parts.size()) return false;
    if (gold.parts.size() > 2) return gold.name == answer.name && SameInOrder(gold.parts, answer.parts);
    if (gold.name == answer.name && Same(gold.parts[0], answer.parts[0]) && Same(gold.parts[1], answer.parts[1])) return true;
    const std::pair<const char*, const char*> mirrored[] = {{"<", ">"},   {">", "<"}, {"<=", ">="},
                                                            {">=", "<="}, {"=", "="}, {"!=", "!="}};
    const auto mirror =
        std::find_if(std::begin(mirrored), std::end(mirrored), [&](const auto& pair) { return gold.name == pair.first; });
    if (mirror == std::end(mirrored)) return false;
    const Expr gold_difference = Difference(gold.parts[0], gold.parts[1]);
    const bool is_equality = gold.name == "=" || gold.name == "!=";
    if (gold.name == answer.name &&
        ProportionalValues(gold_difference, Difference(answer.parts[0], answer.parts[1]), !is_equality))
      return true;
    return answer.name == mirror->second &&
           ProportionalValues(gold_difference, Difference(answer.parts[1], answer.parts[0]), !is_equality);
  }

  static bool SameScalar(const Expr& gold, const Expr& answer) {
    const Expr *gold_number = AtomicNumber(gold), *answer_number = AtomicNumber(answer);
    const bool has_decimal =
        (gold_number != nullptr && gold_number->is_decimal) || (answer_number != nullptr && answer_number->is_decimal);
    if (has_decimal) {
      const auto a = RealValue(gold), b = RealValue(answer);
      if (a && b) return *a == *b || std::nearbyint(*a * 1e6L) == std::nearbyint(*b * 1e6L);
    }
    const bool named =
        gold.kind == Kind::kText || answer.kind == Kind::kText || gold.kind == Kind::kSymbol || answer.kind == Kind::kSymbol;
    if (named) {
      const auto gold_words = Words(gold), answer_words = Words(answer);
      if (gold_words && answer_words) return *gold_words == *answer_words;
    }
    return SameValue(gold, answer, Domain::kReal);
  }

  bool* gave_up_;
  int comparisons_ = 0;
};

}  // namespace

bool SameAnswer(const Expr& gold, const Expr& answer, bool* gave_up) {
  bool ignored = false;
  return Comparer(gave_up != nullptr ? gave_up : &ignored).Same(gold, answer);
}

}  // namespace moecap::accuracy::math
