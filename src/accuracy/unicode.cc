#include "accuracy/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

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

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using CompileContext = std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>;

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
  static const Pattern upper("\\p{Uppercase}"), other("[\\p{Lowercase}\\p{Lt}]");
  return upper.Finds(text) && !other.Finds(text);
}

bool IsLower(std::string_view text) {
  if (const std::optional<Cases> cases = CasesOfAscii(text)) return cases->lower && !cases->upper;
  static const Pattern lower("\\p{Lowercase}"), other("[\\p{Uppercase}\\p{Lt}]");
  return lower.Finds(text) && !other.Finds(text);
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

void Pattern::CodeDeleter::operator()(void* code) const { pcre2_code_free(static_cast<pcre2_code*>(code)); }

Pattern::Code Pattern::Compile(std::string_view pattern, uint32_t options) {
  const CompileContext context(pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  auto* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | options, &error, &offset, context.get());
  // Without the compiler it is slower, no more.
  if (code != nullptr) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return Code(code);
}

Pattern::Pattern(std::string_view pattern) : code_(Compile(pattern, PCRE2_MULTILINE)) { CHECK(code_ != nullptr); }

std::optional<Pattern> Pattern::OfData(std::string_view pattern, bool ignore_case) {
  Code code = Compile(pattern, ignore_case ? PCRE2_CASELESS : 0);
  if (code == nullptr) return std::nullopt;
  return Pattern(std::move(code));
}

bool Pattern::ForEach(std::string_view text, const std::function<void(std::string_view)>& visit) const {
  const auto* code = static_cast<pcre2_code*>(code_.get());
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free);
  size_t start = 0;
  while (start <= text.size()) {
    const int groups = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, PCRE2_NO_UTF_CHECK,
                                   match.get(), nullptr);
    if (groups == PCRE2_ERROR_NOMATCH) return true;
    if (groups < 0) return false;
    const size_t* offsets = pcre2_get_ovector_pointer(match.get());
    const size_t group = pcre2_get_ovector_count(match.get()) > 1 ? 1 : 0;
    const size_t from = offsets[2 * group], to = offsets[2 * group + 1];
    visit(from == PCRE2_UNSET ? std::string_view() : text.substr(from, to - from));
    // After an empty match, one character on.
    const bool empty = offsets[1] <= offsets[0];
    start = !empty ? offsets[1] : offsets[1] + (offsets[1] < text.size() ? CharacterAt(text.substr(offsets[1])).bytes : 1);
  }
  return true;
}

bool Pattern::Finds(std::string_view text) const {
  const auto* code = static_cast<pcre2_code*>(code_.get());
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free);
  return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, PCRE2_NO_UTF_CHECK, match.get(),
                     nullptr) >= 0;
}

std::optional<int64_t> Pattern::Count(std::string_view text) const {
  int64_t count = 0;
  if (!ForEach(text, [&](std::string_view) { ++count; })) return std::nullopt;
  return count;
}

}  // namespace moecap::accuracy::unicode
