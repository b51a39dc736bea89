// LaTeX and plain mathematical text as tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::accuracy::math {

struct Token {
  enum class Kind {
    kNumber,   // digits, also with a decimal point or before one
    kLetter,   // one character
    kWord,     // two or more ASCII letters that follow each other, where the dialect reads words
    kCommand,  // without its backslash: "frac", "{" for \{, "\\" for \\, "begin:pmatrix"
    kText,     // the words in \text{...}
    kMark      // one of + - * / ^ _ ( ) [ ] { } | , ; : = < > ! ' % &
  };
  Kind kind = Kind::kMark;
  std::string text;
  bool after_blank = false;
};

struct TokenRules {
  bool words = false;           // letters that follow each other are one token
  bool texts = false;           // \text{...} is one token
  bool thousands = true;        // 10,000 is one number
  bool open_thousands = false;  // and 10,0005 begins with it
  bool skip_styles = true;      // \big, \displaystyle and their kind mean nothing, else they are commands like any other
  bool skip_dollars = true;     // $ and \$ mean nothing, else they cannot be read
};

// Blanks, \left, \right and spacing commands are dropped; a few Unicode signs become their commands. Null where a
// character cannot be read, braces of a \text do not close, a number has more than kMostDigits or there are more than
// kMostTokens; `*gave_up` tells the last two.
std::optional<std::vector<Token>> Tokenise(std::string_view text, const TokenRules& rules, bool* gave_up);

}  // namespace moecap::accuracy::math
