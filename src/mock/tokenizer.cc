#include "mock/tokenizer.h"

#include <charconv>

#include "base/hash.h"
#include "mock/engine.h"
#include "mock/sampling.h"

namespace moecap::mock {
namespace {

// Letters that open a token's word, of one, two and three bytes in UTF-8.
constexpr std::string_view kLetters[] = {"w", "\xc3\xa9", "\xe4\xb8\x96"};

std::string_view LetterOf(int32_t id) { return kLetters[id % 16 == 15 ? 2 : id % 8 == 7 ? 1 : 0]; }

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool IsWord(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

int32_t TokenOf(std::string_view piece, int64_t vocab) {
  for (const std::string_view letter : kLetters) {
    if (piece.size() < letter.size() + 2 || piece[0] != ' ' || piece.substr(1, letter.size()) != letter) continue;
    const std::string_view digits = piece.substr(1 + letter.size());
    int32_t id = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && digits[0] != '0' && digits[0] != '-';
    if (whole && id >= kFirstWordToken && id < vocab && LetterOf(id) == letter) return id;
  }
  return static_cast<int32_t>(kFirstWordToken + HashOf(piece) % static_cast<uint64_t>(vocab - kFirstWordToken));
}

std::vector<std::string_view> SplitText(std::string_view text) {
  std::vector<std::string_view> pieces;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && IsSpace(text[end])) ++end;
    if (end < text.size() && !IsWord(text[end])) {
      ++end;
    } else {
      while (end < text.size() && IsWord(text[end])) ++end;
    }
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

std::vector<int32_t> Tokenize(std::string_view text, int64_t vocab) {
  std::vector<int32_t> ids;
  for (const std::string_view piece : SplitText(text)) ids.push_back(TokenOf(piece, vocab));
  return ids;
}

void AppendTokenText(int32_t id, std::string& out) {
  if (id < kFirstWordToken) return;
  out += ' ';
  out += LetterOf(id);
  char digits[12];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, id).ptr);
}

std::string Detokenize(std::span<const int32_t> ids) {
  std::string text;
  for (const int32_t id : ids) AppendTokenText(id, text);
  return text;
}

}  // namespace moecap::mock
