// Python's string operations as the scorers use them, on UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace moecap::accuracy {

// Each maximal run of bytes that is not UTF-8 becomes U+FFFD, as bytes.decode(errors="replace") does.
std::string ValidUtf8(std::string_view text);

// str.strip(), str.lstrip(): Unicode's blanks. Requires valid UTF-8, else stops at what is not.
std::string_view Strip(std::string_view text);
std::string_view StripLeft(std::string_view text);

// str.lower() without its rule for a final sigma.
std::string LowerCase(std::string_view text);
// str.upper() of ASCII letters; others stay.
std::string UpperCaseAscii(std::string_view text);

// Without string.punctuation (the 32 marks of ASCII).
std::string WithoutPunctuation(std::string_view text);

// str.replace(from, to). Requires a `from` that is not empty.
std::string Replaced(std::string_view text, std::string_view from, std::string_view to);
void Replace(std::string& text, std::string_view from, std::string_view to);

// The bytes of the character that begins the text; 0 for none.
size_t FirstCharacterSize(std::string_view text);

// ASCII alone.
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace moecap::accuracy
