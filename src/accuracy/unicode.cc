#include "accuracy/unicode.h"

#include <array>
#include <optional>

#include "accuracy/regex.h"
#include "base/check.h"

namespace moecap::accuracy::unicode {
namespace {

constexpr char32_t kReplacement = 0xfffd;

struct Character {
  char32_t c = kReplacement;
  size_t bytes = 1;
  bool valid = false;
};

// The character at the start of `text`, which is not empty.
Character CharacterAt(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return {};
  char32_t c = first & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    c = (c << 6) | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = c >= 0xd800 && c <= 0xdfff;
  if (c < least[bytes] || c > 0x10ffff || surrogate) return {};
  return {c, bytes, true};
}

struct Cases {
  bool upper = false, lower = false;
};
// The cases of its letters; null for a text that is not ASCII alone.
std::optional<Cases> CasesOfAscii(std::string_view text) {
  Cases cases;
  for (const char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) return std::nullopt;
    cases.upper = cases.upper || (c >= 'A' && c <= 'Z');
    cases.lower = cases.lower || (c >= 'a' && c <= 'z');
  }
  return cases;
}

}  // namespace

bool IsBlank(char32_t c) {
  if (c > 0x20 && c < 0x80) return false;
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool IsAsciiPunctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

std::u32string CodePoints(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  while (!text.empty()) {
    const Character character = CharacterAt(text);
    points += character.c;
    text.remove_prefix(character.bytes);
  }
  return points;
}

void Append(char32_t c, std::string& text) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<uint8_t>(byte)); };
  const auto put_rest = [&](int shift) {
    for (; shift >= 0; shift -= 6) put(0x80 | ((c >> shift) & 0x3f));
  };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put_rest(0);
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put_rest(6);
  } else {
    put(0xf0 | (c >> 18));
    put_rest(12);
  }
}

bool IsUpper(std::string_view text) {
  if (const std::optional<Cases> cases = CasesOfAscii(text)) return cases->upper && !cases->lower;
  static const Regex upper("\\p{Uppercase}"), other("[\\p{Lowercase}\\p{Lt}]");
  return upper.Search(text) && !other.Search(text);
}

bool IsLower(std::string_view text) {
  if (const std::optional<Cases> cases = CasesOfAscii(text)) return cases->lower && !cases->upper;
  static const Regex lower("\\p{Lowercase}"), other("[\\p{Uppercase}\\p{Lt}]");
  return lower.Search(text) && !other.Search(text);
}

std::string_view StripOf(std::string_view text, char mark) {
  while (text.starts_with(mark)) text.remove_prefix(1);
  while (text.ends_with(mark)) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0, at = 0;
  while (at < text.size()) {
    const auto byte = static_cast<uint8_t>(text[at]);
    const Character character = byte < 0x80 ? Character{byte, 1, true} : CharacterAt(text.substr(at));
    if (IsBlank(character.c)) {
      if (at > begin) words.push_back(text.substr(begin, at - begin));
      begin = at + character.bytes;
    }
    at += character.bytes;
  }
  if (at > begin) words.push_back(text.substr(begin, at - begin));
  return words;
}

std::vector<std::string_view> SplitAt(std::string_view text, std::string_view separator) {
  CHECK(!separator.empty());
  std::vector<std::string_view> pieces;
  for (size_t found = 0; (found = text.find(separator)) != std::string_view::npos;) {
    pieces.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  pieces.push_back(text);
  return pieces;
}

}  // namespace moecap::accuracy::unicode
