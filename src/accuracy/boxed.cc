#include "accuracy/boxed.h"

#include <algorithm>

#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

constexpr std::string_view kBoxed = "\\boxed";
constexpr std::string_view kBoxedBlank = "\\boxed ";

// The position of the brace that closes the first one at or after `begin`.
std::optional<size_t> ClosingBrace(std::string_view text, size_t begin) {
  int64_t open = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '{') ++open;
    if (text[i] == '}' && --open == 0) return i;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> LastBoxed(std::string_view text) {
  if (const size_t blank = text.rfind(kBoxedBlank); blank != std::string_view::npos) {
    const std::string_view rest = text.substr(blank + kBoxedBlank.size());
    return std::string(rest.substr(0, rest.find('$')));
  }
  const size_t begin = text.rfind(kBoxed);
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t inside = begin + kBoxed.size() + 1;
  const std::optional<size_t> end = ClosingBrace(text, begin);
  if (!end || *end < inside || text[inside - 1] != '{') return std::nullopt;
  return std::string(text.substr(inside, *end - inside));
}

std::optional<std::string> LastBoxedInBraces(std::string_view text) {
  const size_t begin = text.rfind("\\boxed{");
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t inside = begin + kBoxed.size() + 1;
  const std::optional<size_t> end = ClosingBrace(text, begin);
  if (!end) return std::nullopt;
  return std::string(Strip(text.substr(inside, *end - inside)));
}

std::string_view BetweenDollars(std::string_view text) {
  const size_t first = text.find('$'), last = text.rfind('$');
  return first == last ? text : text.substr(first + 1, last - first - 1);
}

std::optional<std::string> MinervaAnswer(std::string_view reply) {
  constexpr std::string_view kBegin = "Final Answer: The final answer is";
  constexpr std::string_view kEnd = " I hope it is correct";
  const std::string text = std::string(reply) + "I hope it is correct.";
  // In the original's pattern, `is(.*?). I hope it is correct.`, both dots are any character but "\n".
  for (size_t begin = text.find(kBegin); begin != std::string::npos; begin = text.find(kBegin, begin + 1)) {
    begin += kBegin.size();
    const size_t line_end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, line_end - begin);
    for (size_t end = line.find(kEnd, 1); end != std::string_view::npos; end = line.find(kEnd, end + 1)) {
      if (end + kEnd.size() >= line.size()) break;
      size_t last = end - 1;
      while (last > 0 && (static_cast<unsigned char>(line[last]) & 0xC0) == 0x80) --last;
      return std::string(Strip(line.substr(0, last)));
    }
    begin = line_end;
  }
  return std::nullopt;
}

}  // namespace moecap::accuracy
