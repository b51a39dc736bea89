#include "accuracy/math_parse.h"

#include <algorithm>
#include <utility>

#include "accuracy/math_parser.h"
#include "accuracy/math_words.h"
#include "accuracy/text.h"

namespace moecap::accuracy::math {

std::optional<Expr> Parser::Run() {
  Expr expr = Answers() ? List() : Relation();
  if (failed_ || (!stopped_ && at_ < tokens_.size() && dialect_ != Dialect::kSympyLatex)) return std::nullopt;
  return expr;
}

Expr Parser::Fail() {
  failed_ = true;
  at_ = tokens_.size();
  return {};
}

const Token& Parser::Peek(size_t ahead) const {
  static const Token end;
  return at_ + ahead < tokens_.size() && !stopped_ ? tokens_[at_ + ahead] : end;
}

bool Parser::IsMark(std::string_view mark, size_t ahead) const {
  const Token& token = Peek(ahead);
  return token.kind == Token::Kind::kMark && token.text == mark;
}

bool Parser::IsCommand(std::string_view command, size_t ahead) const {
  const Token& token = Peek(ahead);
  return token.kind == Token::Kind::kCommand && token.text == command;
}

bool Parser::AcceptMark(std::string_view mark) {
  if (!IsMark(mark)) return false;
  ++at_;
  return true;
}

bool Parser::AcceptCommand(std::string_view command) {
  if (!IsCommand(command)) return false;
  ++at_;
  return true;
}

void Parser::Expect(std::string_view mark) {
  if (!AcceptMark(mark)) Fail();
}

// Relations separated by commas, semicolons or words; one alone is itself.
Expr Parser::List() {
  std::vector<Expr> items{Relation()};
  while (!failed_ && AcceptSeparator()) items.push_back(Relation());
  return items.size() == 1 ? std::move(items[0]) : Node(Kind::kSet, std::move(items));
}

// sympy knows no "in"; its command is a symbol like others.
std::optional<std::string_view> Parser::RelationIn(const Token& token) const {
  const auto relation = RelationOf(token);
  return !Answers() && relation == "in" ? std::nullopt : relation;
}

// A comma or semicolon, the word "and" or "or", or both.
bool Parser::AcceptSeparator() {
  const bool mark = AcceptMark(",") || AcceptMark(";");
  const Token& token = Peek();
  const bool word = Answers() && (token.kind == Token::Kind::kWord || token.kind == Token::Kind::kText) &&
                    (token.text == "and" || token.text == "or");
  if (word) ++at_;
  return mark || word;
}

Expr Parser::Relation() {
  const Level level(*this);
  if (failed_) return {};
  std::vector<Expr> sides{Union()};
  std::string operators;
  while (const auto relation = RelationIn(Peek())) {
    ++at_;
    std::string name(*relation);
    if ((name == "<" || name == ">") && AcceptMark("=")) name += "=";
    operators += (operators.empty() ? "" : " ") + name;
    sides.push_back(Union());
    if (failed_) return {};
  }
  return sides.size() == 1 ? std::move(sides[0]) : Node(Kind::kRelation, std::move(sides), operators);
}

Expr Parser::Union() {
  Expr left = Sum();
  for (const char* operation : {"cup", "cap", "setminus"}) {
    while (Answers() && AcceptCommand(operation)) left = Node(Kind::kUnion, {std::move(left), Sum()}, operation);
  }
  return left;
}

Expr Parser::Sum() {
  Expr sum = Product();
  while (!failed_) {
    if (AcceptMark("+")) {
      sum = Node(Kind::kSum, {std::move(sum), Product()});
    } else if (AcceptMark("-")) {
      sum = Node(Kind::kSum, {std::move(sum), Negated(Product())});
    } else if (Answers() && (AcceptCommand("pm") || AcceptCommand("mp"))) {
      sum = Node(Kind::kPlusMinus, {std::move(sum), Product()});
    } else {
      break;
    }
  }
  return sum;
}

bool Parser::AcceptTimes() {
  if (dialect_ == Dialect::kSympyPlain && IsMark("*") && IsMark("*", 1)) return false;
  return AcceptMark("*") || AcceptCommand("cdot") || AcceptCommand("times") || AcceptCommand("ast");
}

// Factors side by side bind more tightly than a sign between them, 1/2x is 1/(2x), but in plain text and behind a fraction of
// two numbers.
Expr Parser::Product() {
  std::vector<Expr> factors = Factors();
  bool beside = dialect_ == Dialect::kSympyPlain;
  while (!failed_) {
    if (AcceptTimes()) {
      for (Expr& factor : Factors()) factors.push_back(std::move(factor));
    } else if (AcceptDivision()) {
      const bool of_numbers = Answers() && IsIntegerLiteral(factors.back()) && Peek().kind == Token::Kind::kNumber;
      beside = of_numbers || dialect_ == Dialect::kSympyPlain;
      factors.push_back(Node(Kind::kPower, {beside ? Signed() : Joined(Factors()), Number(-1)}));
    } else if (beside && AcceptUnit()) {
      continue;
    } else if (beside && BeginsFactor()) {
      factors.push_back(Powered());
    } else {
      break;
    }
  }
  return Joined(std::move(factors));
}

// A factor with those that follow it without a sign.
std::vector<Expr> Parser::Factors() {
  const bool in_brackets = IsMark("(") || IsMark("[");
  std::vector<Expr> factors{Signed()};
  while (!failed_) {
    if (AcceptUnit()) continue;
    if (!BeginsFactor()) break;
    const bool mixed =
        Answers() && factors.size() == 1 && !in_brackets && IsIntegerLiteral(factors[0]) && BeginsNumericFraction();
    const size_t begin = at_;
    Expr factor = Powered();
    if (failed_ && dialect_ == Dialect::kSympyLatex) {
      // It is not part of the expression; nothing is read twice, since all ends here.
      failed_ = false;
      stopped_ = true;
      at_ = begin;
      break;
    }
    if (mixed) {
      const bool negative = factors[0].number < 0;
      factors[0] = Node(Kind::kSum, {std::move(factors[0]), negative ? Negated(std::move(factor)) : std::move(factor)});
    } else {
      factors.push_back(std::move(factor));
    }
  }
  return factors;
}

// The name of a unit behind a quantity, with its power, says nothing.
bool Parser::AcceptUnit() {
  const Token& token = Peek();
  if (!Answers() || (token.kind != Token::Kind::kWord && token.kind != Token::Kind::kText) || !IsUnit(token.text)) return false;
  ++at_;
  if (AcceptMark("^")) Argument();
  return true;
}

// \frac{3}{4} and \frac34, whose numerator and denominator are numbers.
bool Parser::BeginsNumericFraction() const {
  if (!IsCommand("frac") && !IsCommand("dfrac") && !IsCommand("tfrac")) return false;
  if (Peek(1).kind == Token::Kind::kNumber) return true;
  return IsMark("{", 1) && Peek(2).kind == Token::Kind::kNumber && IsMark("}", 3) &&
         (Peek(4).kind == Token::Kind::kNumber || (IsMark("{", 4) && Peek(5).kind == Token::Kind::kNumber && IsMark("}", 6)));
}

bool Parser::BeginsFactor() const {
  const Token& token = Peek();
  switch (token.kind) {
    case Token::Kind::kNumber:
    case Token::Kind::kLetter:
    case Token::Kind::kWord:
    case Token::Kind::kText:
      return at_ < tokens_.size() && !stopped_ && !(Answers() && (token.text == "and" || token.text == "or"));
    case Token::Kind::kCommand: {
      const bool stands_between = Answers() && (token.text == "pm" || token.text == "mp");
      return !EndsFactors(token.text) && !RelationIn(token) && !stands_between;
    }
    case Token::Kind::kMark:
      return token.text == "(" || token.text == "[" || token.text == "{" || (token.text == "|" && !inside_bars_);
  }
  return false;
}

Expr Parser::Signed() {
  const Level level(*this);
  bool negative = false;
  for (;;) {
    if (AcceptMark("-")) {
      negative = !negative;
    } else if (!AcceptMark("+")) {
      break;
    }
  }
  if (Answers() && (AcceptCommand("pm") || AcceptCommand("mp"))) return Node(Kind::kPlusMinus, {Number(0), Powered()});
  Expr expr = Powered();
  return negative ? Negated(std::move(expr)) : expr;
}

bool Parser::AcceptPower() {
  if (dialect_ == Dialect::kSympyPlain && IsMark("*") && IsMark("*", 1)) {
    at_ += 2;
    return true;
  }
  return AcceptMark("^");
}

// An atom with what follows it: powers, subscripts, factorials, percent, degrees.
Expr Parser::Powered() {
  const Level level(*this);
  if (failed_) return {};
  Expr expr = Atom();
  while (!failed_) {
    if (AcceptPower()) {
      if (AcceptDegree()) continue;
      Expr exponent = dialect_ == Dialect::kSympyPlain ? Signed() : Argument();
      expr = Node(Kind::kPower, {std::move(expr), std::move(exponent)});
    } else if (IsMark("_")) {
      if (!Subscript(expr)) break;
    } else if (AcceptMark("!")) {
      expr = Node(Kind::kCall, {std::move(expr)}, "factorial");
    } else if (AcceptMark("'")) {
      expr.name += "'";
    } else if (IsMark("%")) {
      if (!Answers()) return Fail();
      ++at_;
      expr = Node(Kind::kProduct, {std::move(expr), Number(Rational(1, 100))});
    } else if (!Answers() || !AcceptDegree()) {
      break;
    }
  }
  return expr;
}

// \circ, {\circ} or a degree sign: no unit is told from another here.
bool Parser::AcceptDegree() {
  if (!Answers()) return false;
  if (IsMark("{") && IsCommand("circ", 1) && IsMark("}", 2)) {
    at_ += 3;
    return true;
  }
  return AcceptCommand("circ") || AcceptCommand("degree");
}

// False where it ends the expression.
bool Parser::Subscript(Expr& expr) {
  if (expr.kind != Kind::kSymbol && !Answers()) {
    stopped_ = dialect_ == Dialect::kSympyLatex;
    if (!stopped_) Fail();
    return false;
  }
  ++at_;
  const Expr index = Argument();
  if (expr.kind == Kind::kSymbol) expr.name += "_" + Key(index);  // of a number: its base, which nobody reads
  return true;
}

namespace {

// Letters outside the names of commands without their case.
std::string LowerLetters(std::string_view text) {
  std::string lowered(text);
  bool in_command = false;
  for (char& c : lowered) {
    in_command = c == '\\' || (in_command && IsLetter(c));
    if (!in_command && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

}  // namespace

std::optional<Expr> Parse(std::string_view text, Dialect dialect, bool* gave_up) {
  bool ignored = false;
  if (gave_up == nullptr) gave_up = &ignored;
  const TokenRules rules{.words = dialect != Dialect::kSympyLatex,
                         .texts = dialect == Dialect::kAnswer,
                         .thousands = dialect != Dialect::kSympyPlain,
                         .open_thousands = dialect == Dialect::kSympyLatex,
                         .skip_styles = dialect != Dialect::kSympyLatex,
                         .skip_dollars = dialect == Dialect::kAnswer};
  const std::string lowered = dialect == Dialect::kAnswer ? LowerLetters(text) : std::string(text);
  std::optional<std::vector<Token>> tokens = Tokenise(lowered, rules, gave_up);
  if (!tokens) return std::nullopt;
  return Parser(std::move(*tokens), dialect, gave_up).Run();
}

}  // namespace moecap::accuracy::math
