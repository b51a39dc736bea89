// Text as Python sees it, for rules that the field wrote in Python: code points, Unicode blanks, letter case, regular
// expressions. Functions take UTF-8; bytes that are none must be replaced by ValidUtf8 (text.h) first (CodePoints copes by
// itself).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accuracy/text.h"

namespace moecap::accuracy::unicode {

bool IsBlank(char32_t c);             // str.isspace of one character
bool IsAsciiPunctuation(char32_t c);  // string.punctuation

// Each byte that is part of no character counts as U+FFFD.
std::u32string CodePoints(std::string_view text);
void Append(char32_t c, std::string& text);  // as UTF-8

// str.isupper(), str.islower(): some letters have a case, and none has another.
bool IsUpper(std::string_view text);
bool IsLower(std::string_view text);

std::string_view StripOf(std::string_view text, char mark);  // str.strip(mark)
std::vector<std::string_view> Split(std::string_view text);  // str.split(): between blanks, no empty words
// str.split(separator). Requires a separator that is not empty.
std::vector<std::string_view> SplitAt(std::string_view text, std::string_view separator);

// A regular expression over code points: \w, \d, \s and \b are Unicode's, '.' excludes '\n' alone. Texts must be well-formed.
class Pattern {
 public:
  // A constant of the program, in which '^' and '$' mean lines: one that does not compile is a bug (CHECK).
  explicit Pattern(std::string_view pattern);
  // Of a data set. Null when it is no regular expression.
  static std::optional<Pattern> OfData(std::string_view pattern, bool ignore_case);

  // Calls `visit` with the first group of each match, or the whole match where the pattern has no groups, from left to right.
  // False when a match was given up because it takes too long (PCRE2's match limit); what was visited is then incomplete.
  bool ForEach(std::string_view text, const std::function<void(std::string_view)>& visit) const;
  bool Finds(std::string_view text) const;  // whether there is a match; of data, better Count, which says when it gives up
  // Null when given up.
  std::optional<int64_t> Count(std::string_view text) const;

 private:
  struct CodeDeleter {
    void operator()(void* code) const;
  };
  using Code = std::unique_ptr<void, CodeDeleter>;
  explicit Pattern(Code code) : code_(std::move(code)) {}
  static Code Compile(std::string_view pattern, uint32_t options);

  Code code_;
};

}  // namespace moecap::accuracy::unicode
