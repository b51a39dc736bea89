#include "accuracy/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace moecap::accuracy {
namespace {

struct Decoded {
  uint32_t code = 0;
  size_t size = 0;  // bytes; of what is not UTF-8, the maximal part that could have begun a character
  bool valid = false;
};

// The character that begins `text`, which is not empty (Unicode 15, table 3-7).
Decoded Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const size_t size = lead >= 0xC2 && lead <= 0xDF   ? 2
                      : lead >= 0xE0 && lead <= 0xEF ? 3
                      : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                     : 0;
  if (size == 0) return {0, 1, false};
  uint32_t code = lead & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    uint8_t low = 0x80, high = 0xBF;
    if (i == 1 && lead == 0xE0) low = 0xA0;
    if (i == 1 && lead == 0xED) high = 0x9F;
    if (i == 1 && lead == 0xF0) low = 0x90;
    if (i == 1 && lead == 0xF4) high = 0x8F;
    if (i >= text.size() || byte(i) < low || byte(i) > high) return {0, i, false};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {code, size, true};
}

// str.isspace() of one character.
bool IsBlank(uint32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

bool IsPunctuation(char c) { return c > ' ' && c < 0x7F && !IsDigit(c) && !IsLetter(c); }

// By PCRE2's own tables of Unicode.
std::string LowerCaseUnicode(std::string_view text) {
  struct Pattern {
    Pattern() {
      int error = 0;
      size_t offset = 0;
      code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>("(?s).+"), PCRE2_ZERO_TERMINATED,
                           PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr);
      CHECK(code != nullptr);
    }
    pcre2_code* code;
  };
  static const Pattern pattern;
  // A lower-case letter takes at most half as many bytes more as its upper-case letter (U+023A, U+023E).
  std::string lower(text.size() + text.size() / 2 + 1, '\0');
  size_t size = lower.size();
  const int done = pcre2_substitute(pattern.code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                    PCRE2_SUBSTITUTE_EXTENDED | PCRE2_SUBSTITUTE_GLOBAL, nullptr, nullptr,
                                    reinterpret_cast<PCRE2_SPTR>("\\L$0"), PCRE2_ZERO_TERMINATED,
                                    reinterpret_cast<PCRE2_UCHAR*>(lower.data()), &size);
  if (done < 0) return std::string(text);
  lower.resize(size);
  return lower;
}

}  // namespace

std::string ValidUtf8(std::string_view text) {
  if (IsAscii(text)) return std::string(text);
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const Decoded next = Decode(text);
    valid += next.valid ? text.substr(0, next.size) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(next.size);
  }
  return valid;
}

std::string_view StripLeft(std::string_view text) {
  while (!text.empty()) {
    const Decoded next = Decode(text);
    if (!next.valid || !IsBlank(next.code)) break;
    text.remove_prefix(next.size);
  }
  return text;
}

std::string_view Strip(std::string_view text) {
  text = StripLeft(text);
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && text.size() - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    const Decoded last = Decode(text.substr(begin));
    if (!last.valid || begin + last.size != text.size() || !IsBlank(last.code)) break;
    text = text.substr(0, begin);
  }
  return text;
}

std::string LowerCase(std::string_view text) {
  if (!IsAscii(text)) return LowerCaseUnicode(Replaced(text, "\u0130", "i\u0307"));
  std::string lower(text);
  std::transform(text.begin(), text.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

std::string UpperCaseAscii(std::string_view text) {
  std::string upper(text);
  std::transform(text.begin(), text.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return upper;
}

std::string WithoutPunctuation(std::string_view text) {
  std::string kept(text);
  std::erase_if(kept, IsPunctuation);
  return kept;
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  CHECK(!from.empty());
  std::string changed;
  changed.reserve(text.size());
  size_t begin = 0;
  for (size_t found = text.find(from); found != std::string_view::npos; found = text.find(from, begin)) {
    changed += text.substr(begin, found - begin);
    changed += to;
    begin = found + from.size();
  }
  changed += text.substr(begin);
  return changed;
}

void Replace(std::string& text, std::string_view from, std::string_view to) {
  if (text.find(from) != std::string::npos) text = Replaced(text, from, to);
}

size_t FirstCharacterSize(std::string_view text) { return text.empty() ? 0 : Decode(text).size; }

}  // namespace moecap::accuracy
