// Text as Python sees it, for rules that the field wrote in Python: code points, Unicode blanks, letter case. Functions take
// UTF-8; bytes that are none must be replaced by ValidUtf8 (text.h) first (CodePoints copes by itself).
#pragma once

#include <cstdint>
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

}  // namespace moecap::accuracy::unicode
