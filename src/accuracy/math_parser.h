// The parser behind math_parse.h, in two sources: what stands between expressions, and what one is made of.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "accuracy/math_expr.h"
#include "accuracy/math_parse.h"
#include "accuracy/math_tokens.h"

namespace moecap::accuracy::math {

class Parser {
 public:
  Parser(std::vector<Token> tokens, Dialect dialect, bool* gave_up)
      : tokens_(std::move(tokens)), dialect_(dialect), gave_up_(gave_up) {}

  std::optional<Expr> Run();

 private:
  // Goes one level deeper while it lives.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ <= kMostDepth) return;
      *parser_.gave_up_ = true;
      parser_.Fail();
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  // Tokens. Fail gives up the whole text: from there on there are no more tokens, and every rule returns.
  bool Answers() const { return dialect_ == Dialect::kAnswer; }
  Expr Fail();
  const Token& Peek(size_t ahead = 0) const;
  bool IsMark(std::string_view mark, size_t ahead = 0) const;
  bool IsCommand(std::string_view command, size_t ahead = 0) const;
  bool AcceptMark(std::string_view mark);
  bool AcceptCommand(std::string_view command);
  void Expect(std::string_view mark);
  std::optional<std::string_view> RelationIn(const Token& token) const;
  bool AcceptSeparator();
  bool AcceptTimes();
  bool AcceptDivision() {
    return AcceptMark("/") || AcceptCommand("div") || (dialect_ != Dialect::kSympyPlain && AcceptMark(":"));
  }
  bool AcceptUnit();
  bool AcceptPower();
  bool AcceptDegree();
  bool BeginsNumericFraction() const;
  bool BeginsFactor() const;

  // math_parse.cc, from the loosest to the tightest.
  Expr List();
  Expr Relation();
  Expr Union();
  Expr Sum();
  Expr Product();
  std::vector<Expr> Factors();
  Expr Signed();
  Expr Powered();
  bool Subscript(Expr& expr);

  // math_atoms.cc.
  Expr Argument(bool one_digit = false);
  Expr Atom();
  Expr Literal(const std::string& text);
  Expr Named(const std::string& name);
  Expr LetterOf(char letter) const;
  Expr Word(const std::string& word);
  Expr Command(const std::string& name);
  Expr AnswerCommand(const std::string& name);
  Expr Root();
  Expr Function(std::string name);
  Expr Call(const std::string& name);
  Expr BareArgument();
  Expr Enclosed(const char* function, const char* close);
  Expr Bars();
  Expr Group(char open);
  Expr Matrix(const std::string& name);

  static Expr Joined(std::vector<Expr> factors) {
    return factors.size() == 1 ? std::move(factors[0]) : Node(Kind::kProduct, std::move(factors));
  }
  static bool IsIntegerLiteral(const Expr& expr) {
    return expr.kind == Kind::kNumber && !expr.is_decimal && denominator(expr.number) == 1;
  }

  std::vector<Token> tokens_;
  const Dialect dialect_;
  bool* gave_up_;
  size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  bool stopped_ = false;  // what follows is not part of the expression
  bool inside_bars_ = false;
};

}  // namespace moecap::accuracy::math
