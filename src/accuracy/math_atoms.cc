#include <algorithm>
#include <utility>

#include "accuracy/math_parser.h"
#include "accuracy/math_words.h"
#include "accuracy/text.h"

namespace moecap::accuracy::math {

// What a command or ^ takes: a group in braces, or one token, of a number in LaTeX's own sense its first digit.
Expr Parser::Argument(bool one_digit) {
  const Level level(*this);
  if (failed_) return {};
  if (AcceptMark("{")) {
    Expr inside = Answers() ? List() : Relation();
    Expect("}");
    return inside;
  }
  if (AcceptMark("-")) return Negated(Argument(one_digit));
  if (one_digit && Peek().kind == Token::Kind::kNumber && Peek().text.size() > 1 && IsDigit(Peek().text[0])) {
    Expr digit = Number(Peek().text[0] - '0');
    tokens_[at_].text.erase(0, 1);
    return digit;
  }
  return Atom();
}

Expr Parser::Atom() {
  const Level level(*this);
  if (failed_ || at_ >= tokens_.size() || stopped_) return Fail();
  const Token token = tokens_[at_];
  switch (token.kind) {
    case Token::Kind::kNumber:
      ++at_;
      return Literal(token.text);
    case Token::Kind::kText:
      ++at_;
      return Node(Kind::kText, {}, token.text);
    case Token::Kind::kLetter:
      ++at_;
      return Named(token.text);
    case Token::Kind::kWord:
      ++at_;
      return Word(token.text);
    case Token::Kind::kCommand:
      ++at_;
      return Command(token.text);
    case Token::Kind::kMark:
      ++at_;
      if (token.text == "(" || token.text == "[") return Group(token.text[0]);
      if (token.text == "|") return Bars();
      if (token.text == "{" && dialect_ != Dialect::kSympyPlain) {
        --at_;
        return Argument();
      }
      return Fail();
  }
  return Fail();
}

Expr Parser::Literal(const std::string& text) {
  // sympy reads neither "033" nor ".5".
  const bool octal = text.size() > 1 && text[0] == '0' && text.find('.') == std::string::npos;
  if (dialect_ == Dialect::kSympyLatex && (octal || text[0] == '.')) return Fail();
  const size_t point = text.find('.');
  const std::string whole = text.substr(0, point), part = point == std::string::npos ? "" : text.substr(point + 1);
  std::string digits = whole + part;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));  // a leading 0 would mean octal
  Expr number = Number(Rational(Integer(digits), pow(Integer(10), static_cast<unsigned>(part.size()))));
  number.is_decimal = point != std::string::npos;
  return number;
}

// A symbol, a constant, or the call of a function that nobody knows.
Expr Parser::Named(const std::string& name) {
  if (Answers() && name == "e") return Constant(name);
  const bool calls = Answers() ? name == "f" || name == "g" || name == "h" || name == "P" : true;
  if (!calls || !IsMark("(")) return Symbol(name);
  ++at_;
  return Call("function " + name);
}

// Of a function's name the arguments in brackets, the opening one being taken.
Expr Parser::Call(const std::string& name) {
  std::vector<Expr> arguments{Sum()};
  while (!failed_ && AcceptMark(",")) arguments.push_back(Sum());
  Expect(")");
  return Node(Kind::kCall, std::move(arguments), name);
}

// Letters that follow each other.
Expr Parser::Word(const std::string& word) {
  if (word == "sqrt") return Root();
  if (IsFunction(word)) return Function(word);
  if (dialect_ == Dialect::kSympyPlain && word == "pi") return Constant(word);
  if (dialect_ == Dialect::kSympyPlain && IsGreek(word)) return Named(word);
  // A function may end a word: "xsin(y)"; in LaTeX "cosx" is no word of its own.
  std::vector<Expr> letters;
  for (size_t i = 0; i < word.size(); ++i) {
    if (std::string_view(word).substr(i) == "sqrt") {
      letters.push_back(Root());
      break;
    }
    letters.push_back(i + 1 < word.size() ? LetterOf(word[i]) : Named(std::string(1, word[i])));
  }
  return Node(Kind::kProduct, std::move(letters));
}

Expr Parser::LetterOf(char letter) const {
  const std::string name(1, letter);
  return Answers() && name == "e" ? Constant(name) : Symbol(name);
}

Expr Parser::Command(const std::string& name) {
  if (name == "frac" || name == "dfrac" || name == "tfrac" || name == "cfrac") {
    Expr over = Argument(true);
    return Quotient(std::move(over), Argument(true));
  }
  if (name == "binom" || name == "dbinom" || name == "tbinom") {
    Expr from = Argument(true);
    return Node(Kind::kCall, {std::move(from), Argument(true)}, "binomial");
  }
  if (name == "sqrt") return Root();
  if (IsFunction(name)) return Function(name);
  if (name == "pi") return Constant("pi");
  if (name == "infty") return Constant("infinity");
  if (name == "lfloor") return Enclosed("floor", "rfloor");
  if (name == "lceil") return Enclosed("ceil", "rceil");
  if (Answers()) return AnswerCommand(name);
  return IsSign(name) ? Fail() : Named(name);
}

Expr Parser::AnswerCommand(const std::string& name) {
  if (name == "{") return Group('{');
  if (name == "emptyset" || name == "varnothing") return Node(Kind::kSet, {});
  if (name.starts_with("begin:")) return Matrix(name.substr(6));
  if (IsDress(name)) return Argument();
  if (IsAccent(name)) return Symbol(name + " " + Key(Argument()));
  if (IsSign(name)) return Fail();
  // "\cotx": the blank went lost.
  if (const auto function = FunctionBeforeLetter(name))
    return Node(Kind::kCall, {LetterOf(name.back())}, std::string(*function));
  return Symbol(name);
}

Expr Parser::Root() {
  std::optional<Expr> index;
  if (AcceptMark("[")) {
    index = Sum();
    Expect("]");
  }
  Expr inside = Argument(true);
  Expr exponent = index ? Node(Kind::kPower, {std::move(*index), Number(-1)}) : Number(Rational(1, 2));
  return Node(Kind::kPower, {std::move(inside), std::move(exponent)});
}

// sin x, sin^2 x, sin^{-1} x, log_2 8, log(x, 2).
Expr Parser::Function(std::string name) {
  std::optional<Expr> base, power;
  for (int i = 0; i < 2; ++i) {
    if (!base && AcceptMark("_")) base = Argument(true);
    if (!power && AcceptMark("^")) power = Argument();
  }
  const bool is_inverse = power && power->kind == Kind::kNumber && power->number == -1;
  if (is_inverse && (name == "sin" || name == "cos" || name == "tan")) {
    name = "arc" + name;
    power.reset();
  }
  std::vector<Expr> arguments;
  if (AcceptMark("(")) {
    Expr call = Call(name);
    arguments = std::move(call.parts);
  } else {
    arguments.push_back(BareArgument());
  }
  if (base) arguments.push_back(std::move(*base));
  Expr call = Node(Kind::kCall, std::move(arguments), std::move(name));
  return power ? Node(Kind::kPower, {std::move(call), std::move(*power)}) : call;
}

// What a function without brackets takes: factors side by side up to the next function.
Expr Parser::BareArgument() {
  std::vector<Expr> factors{Powered()};
  while (!failed_ && BeginsFactor() && !(Peek().kind == Token::Kind::kCommand && IsFunction(Peek().text)))
    factors.push_back(Powered());
  return factors.size() == 1 ? std::move(factors[0]) : Node(Kind::kProduct, std::move(factors));
}

Expr Parser::Enclosed(const char* function, const char* close) {
  Expr inside = Sum();
  if (!AcceptCommand(close)) return Fail();
  return Node(Kind::kCall, {std::move(inside)}, function);
}

Expr Parser::Bars() {
  const bool outer = std::exchange(inside_bars_, true);
  Expr inside = Sum();
  inside_bars_ = outer;
  Expect("|");
  return Node(Kind::kCall, {std::move(inside)}, "abs");
}

// After an opening bracket: an expression in brackets, a tuple or interval, or a set.
Expr Parser::Group(char open) {
  const bool outer = std::exchange(inside_bars_, false);
  std::vector<Expr> items{Relation()};
  while (!failed_ && Answers() && (AcceptMark(",") || AcceptMark(";"))) items.push_back(Relation());
  inside_bars_ = outer;
  const char close = failed_ ? '\0' : AcceptMark(")") ? ')' : AcceptMark("]") ? ']' : AcceptCommand("}") ? '}' : '\0';
  const char matching = open == '(' ? ')' : open == '[' ? ']' : '}';
  if (close == '\0' || (open == '{') != (close == '}') || (items.size() == 1 && close != matching)) return Fail();
  if (open == '{') return Node(Kind::kSet, std::move(items));
  if (items.size() == 1) return std::move(items[0]);
  if (!Answers()) return Fail();
  Expr tuple = Node(Kind::kTuple, std::move(items));
  tuple.open = open;
  tuple.close = close;
  return tuple;
}

Expr Parser::Matrix(const std::string& name) {
  if (name == "array" && AcceptMark("{")) {
    while (!failed_ && !AcceptMark("}")) at_ < tokens_.size() ? static_cast<void>(++at_) : static_cast<void>(Fail());
  }
  std::vector<Expr> cells;
  std::vector<size_t> widths{0};
  while (!failed_ && !AcceptCommand("end:" + name)) {
    cells.push_back(Relation());
    ++widths.back();
    if (AcceptMark("&")) continue;
    if (AcceptCommand("\\")) {
      if (!IsCommand("end:" + name)) widths.push_back(0);
    } else if (!IsCommand("end:" + name)) {
      return Fail();
    }
  }
  if (failed_ || cells.empty() || std::any_of(widths.begin(), widths.end(), [&](size_t w) { return w != widths[0]; }))
    return Fail();
  Expr matrix = Node(Kind::kMatrix, std::move(cells));
  matrix.columns = widths[0];
  return name == "vmatrix" ? Node(Kind::kCall, {std::move(matrix)}, "det") : matrix;
}

}  // namespace moecap::accuracy::math
