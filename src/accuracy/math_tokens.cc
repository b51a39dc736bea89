#include "accuracy/math_tokens.h"

#include <algorithm>
#include <array>
#include <utility>

#include "accuracy/math_expr.h"
#include "accuracy/text.h"

namespace moecap::accuracy::math {
namespace {

constexpr std::array kDropped{"left", "right", "quad", "qquad"};
constexpr std::array kStyles{"big",   "Big",   "bigl",   "bigr",   "Bigl",         "Bigr",      "bigg",
                             "Bigg",  "hfill", "limits", "middle", "displaystyle", "textstyle", "mathstrut",
                             "strut", "biggl", "biggr",  "Biggl",  "Biggr"};

constexpr std::array kTextCommands{"text", "textbf", "textit", "textrm",      "textnormal",
                                   "mbox", "hbox",   "mathrm", "operatorname"};

struct Sign {
  const char* sign;
  Token::Kind kind;
  const char* text;
};
constexpr std::array kUnicodeSigns{
    Sign{"π", Token::Kind::kCommand, "pi"}, Sign{"∞", Token::Kind::kCommand, "infty"}, Sign{"√", Token::Kind::kCommand, "sqrt"},
    Sign{"×", Token::Kind::kMark, "*"},     Sign{"·", Token::Kind::kMark, "*"},        Sign{"⋅", Token::Kind::kMark, "*"},
    Sign{"÷", Token::Kind::kMark, "/"},     Sign{"−", Token::Kind::kMark, "-"},        Sign{"–", Token::Kind::kMark, "-"},
    Sign{"±", Token::Kind::kCommand, "pm"}, Sign{"≤", Token::Kind::kCommand, "le"},    Sign{"≥", Token::Kind::kCommand, "ge"},
    Sign{"≠", Token::Kind::kCommand, "ne"}, Sign{"∪", Token::Kind::kCommand, "cup"},   Sign{"∩", Token::Kind::kCommand, "cap"},
    Sign{"∈", Token::Kind::kCommand, "in"}, Sign{"°", Token::Kind::kCommand, "degree"}};

template <typename Names>
bool Contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Tokeniser {
 public:
  Tokeniser(std::string_view text, const TokenRules& rules, bool* gave_up) : text_(text), rules_(rules), gave_up_(gave_up) {}

  std::optional<std::vector<Token>> Run() {
    while (at_ < text_.size()) {
      if (!Next()) return std::nullopt;
      if (tokens_.size() <= kMostTokens) continue;
      *gave_up_ = true;
      return std::nullopt;
    }
    return std::move(tokens_);
  }

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void Add(Token::Kind kind, std::string_view text) {
    tokens_.push_back({kind, std::string(text), blank_});
    blank_ = false;
  }

  bool Next() {
    const char c = Peek();
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '~') {
      blank_ = true;
      ++at_;
      return true;
    }
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    if (c == '\\') return Command();
    if (IsLetter(c)) return Letters();
    if (c == '$') {
      ++at_;
      return rules_.skip_dollars;
    }
    constexpr std::string_view kMarks = "+-*/^_()[]{}|,;:=<>!'%&";
    if (kMarks.find(c) != std::string_view::npos) {
      Add(Token::Kind::kMark, text_.substr(at_++, 1));
      return true;
    }
    return Character();
  }

  size_t Digits(size_t begin) const {
    while (begin < text_.size() && IsDigit(text_[begin])) ++begin;
    return begin;
  }

  bool Number() {
    size_t end = Digits(at_);
    std::string number(text_.substr(at_, end - at_));
    // Groups of three behind commas.
    while (rules_.thousands && !number.empty() && end < text_.size() && text_[end] == ',' &&
           (Digits(end + 1) == end + 4 || (rules_.open_thousands && Digits(end + 1) > end + 4))) {
      number += text_.substr(end + 1, 3);
      end += 4;
    }
    if (end + 1 < text_.size() && text_[end] == '.' && IsDigit(text_[end + 1])) {
      const size_t last = Digits(end + 1);
      number += text_.substr(end, last - end);
      end = last;
    }
    if (number.size() > kMostDigits) {
      *gave_up_ = true;
      return false;
    }
    at_ = end;
    Add(Token::Kind::kNumber, number);
    return true;
  }

  bool Letters() {
    size_t end = at_ + 1;
    while (rules_.words && end < text_.size() && IsLetter(text_[end])) ++end;
    Add(end - at_ == 1 ? Token::Kind::kLetter : Token::Kind::kWord, text_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  // The braces that open at `begin`, which is one: the position behind the closing one.
  std::optional<size_t> BehindBraces(size_t begin) const {
    int open = 0;
    for (size_t i = begin; i < text_.size(); ++i) {
      if (text_[i] == '{') ++open;
      if (text_[i] == '}' && --open == 0) return i + 1;
    }
    return std::nullopt;
  }

  bool Command() {
    size_t end = at_ + 1;
    while (end < text_.size() && IsLetter(text_[end])) ++end;
    if (end == at_ + 1) return Escaped();
    const std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    size_t brace = end;
    while (brace < text_.size() && text_[brace] == ' ') ++brace;
    at_ = end;
    if (Contains(kDropped, name) || (rules_.skip_styles && Contains(kStyles, name))) {
      if ((name == "left" || name == "right") && Peek() == '.') ++at_;
      return true;
    }
    const bool is_text = rules_.texts && Contains(kTextCommands, name), is_block = name == "begin" || name == "end";
    if ((!is_text && !is_block) || brace >= text_.size() || text_[brace] != '{') {
      Add(Token::Kind::kCommand, name);
      return true;
    }
    const std::optional<size_t> behind = BehindBraces(brace);
    if (!behind) return false;
    const std::string_view inside = text_.substr(brace + 1, *behind - brace - 2);
    Add(is_text ? Token::Kind::kText : Token::Kind::kCommand,
        is_text ? std::string(Strip(inside)) : std::string(name) + ":" + std::string(inside));
    at_ = *behind;
    return true;
  }

  // A backslash before what is no letter.
  bool Escaped() {
    const char c = Peek(1);
    at_ += c == '\0' ? 1 : 2;
    if (c == ',' || c == ';' || c == ':' || c == '!' || c == ' ' || c == '\0') {
      blank_ = true;
      return true;
    }
    if (c == '$') return rules_.skip_dollars;
    if (c == '%') {
      Add(Token::Kind::kMark, "%");
    } else if (c == '{' || c == '}' || c == '\\' || c == '|') {
      Add(Token::Kind::kCommand, std::string(1, c));
    } else if (c != '(' && c != ')' && c != '[' && c != ']') {  // those four only begin and end mathematics
      return false;
    }
    return true;
  }

  // What is not ASCII, or an ASCII sign without meaning here.
  bool Character() {
    const size_t size = FirstCharacterSize(text_.substr(at_));
    const std::string_view character = text_.substr(at_, size);
    at_ += size;
    for (const Sign& sign : kUnicodeSigns) {
      if (character != sign.sign) continue;
      Add(sign.kind, sign.text);
      return true;
    }
    if (size == 1) return false;
    Add(Token::Kind::kLetter, character);
    return true;
  }

  const std::string_view text_;
  const TokenRules& rules_;
  bool* gave_up_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool blank_ = false;
};

}  // namespace

std::optional<std::vector<Token>> Tokenise(std::string_view text, const TokenRules& rules, bool* gave_up) {
  bool ignored = false;
  return Tokeniser(text, rules, gave_up != nullptr ? gave_up : &ignored).Run();
}

}  // namespace moecap::accuracy::math
