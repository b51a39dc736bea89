#include "accuracy/moe_cap.h"

#include <algorithm>
#include <array>
#include <vector>

#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

#define MOECAP_INTEGER "(?<![\\d.])(-?\\d[\\d,]*)"

std::string WithoutCommas(std::string_view number) { return std::string(Strip(Replaced(number, ",", ""))); }

// Of two candidates the one that ends later; of equals the first.
struct FoundNumber {
  size_t end = 0;
  std::string number;
};
void Keep(std::optional<FoundNumber>& best, size_t end, std::string_view number) {
  if (!best || end > best->end) best = FoundNumber{end, WithoutCommas(number)};
}

size_t EndOf(std::string_view group, std::string_view text) { return group.data() + group.size() - text.data(); }

// `\boxed{ N ... }`, the brace searched by hand: a pattern would run through the whole text for each box that does not close.
void KeepBoxed(std::string_view text, std::optional<FoundNumber>& best, bool* gave_up) {
  static const Regex opened("(?i)\\\\boxed\\{\\s*\\\\?\\$?\\s*" MOECAP_INTEGER "(?:\\s*\\\\?%)?");
  for (size_t from = 0;;) {
    const std::optional<Regex::Match> match = opened.Search(text, from, gave_up);
    if (!match) return;
    const size_t close = text.find('}', match->end);
    if (close == std::string_view::npos) return;
    Keep(best, EndOf(match->groups[1], text), match->groups[1]);
    from = close + 1;
  }
}

std::vector<std::string_view> FilledLines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (!Strip(line).empty()) lines.push_back(line);
    begin = end + 1;
  }
  return lines;
}

const Regex& IntegerPattern() {
  static const Regex pattern(MOECAP_INTEGER);
  return pattern;
}

// A label that ends a text, "Final Answer:", with the number on the next line.
void KeepLabelled(std::string_view text, std::span<const std::string_view> last_lines, std::optional<FoundNumber>& best,
                  bool* gave_up) {
  static const Regex decoration("[*#✅>]+");
  static const Regex label("(?i)\\A(?:(?:final\\s+)?answer\\s*:?)\\z");
  for (size_t i = 0; i + 1 < last_lines.size(); ++i) {
    const std::string cleaned = decoration.ReplaceAll(Strip(last_lines[i]), " ", gave_up);
    if (!label.Search(Strip(cleaned), 0, gave_up)) continue;
    const std::vector<Regex::Match> numbers = IntegerPattern().FindIter(last_lines[i + 1], gave_up);
    if (!numbers.empty()) Keep(best, EndOf(numbers.back().groups[1], text), numbers.back().groups[1]);
  }
}

// Without any mark: the last number of one of the last three lines that speaks of a result, or that is nothing but a number.
std::optional<std::string> Conclusion(std::span<const std::string_view> last_lines, bool* gave_up) {
  static const Regex cue(
      "(?i)\\b(?:answer|result|total|profit|earnings?|salary|cost|price|value|amount|time|distance|speed|rate|age|percentage|"
      "percent|remaining|left|required|needed)\\b");
  static const Regex alone("\\A(?:\\$?\\s*" MOECAP_INTEGER "\\s*\\$?\\s*\\.?)\\z");
  for (size_t i = last_lines.size(); i-- > 0;) {
    const std::string_view line = Strip(last_lines[i]);
    if (cue.Search(line, 0, gave_up)) {
      const std::vector<Regex::Match> numbers = IntegerPattern().FindIter(line, gave_up);
      if (!numbers.empty()) return WithoutCommas(numbers.back().groups[1]);
    }
    if (const auto match = alone.Search(line, 0, gave_up)) return WithoutCommas(match->groups[1]);
  }
  return std::nullopt;
}

std::optional<std::string> Number(std::string_view text, bool* gave_up) {
  static const std::array<Regex, 4> marks{
      Regex("(?im)####\\s*\\$?\\s*" MOECAP_INTEGER),
      Regex("(?im)(?:the\\s+)?(?:final\\s+)?answer\\s*(?:is|=|:)[^\\n\\d-]{0,100}?\\\\?\\$?\\s*" MOECAP_INTEGER),
      Regex("(?im)=\\s*\\*?\\*?\\\\?\\$?\\s*" MOECAP_INTEGER
            "(?:\\.\\d+)?\\$?\\*?\\*?(?:\\s*(?:\\\\?%|[A-Za-z][A-Za-z /-]{0,40}))?\\s*\\.?\\s*$"),
      Regex("(?i)\\*\\*\\s*\\\\?\\$?\\s*" MOECAP_INTEGER "(?:\\s+[^*\\n]{1,80})?\\*\\*")};
  if (Strip(text).empty()) return std::nullopt;
  std::optional<FoundNumber> best;
  for (const Regex& mark : marks) {
    for (const Regex::Match& match : mark.FindIter(text, gave_up)) Keep(best, EndOf(match.groups[1], text), match.groups[1]);
  }
  KeepBoxed(text, best, gave_up);
  const std::vector<std::string_view> lines = FilledLines(text);
  const std::span<const std::string_view> last_lines = std::span(lines).last(std::min<size_t>(lines.size(), 3));
  KeepLabelled(text, last_lines, best, gave_up);
  return best ? best->number : Conclusion(last_lines, gave_up);
}

Verdict CompareLowered(std::optional<std::string> found, std::string_view gold, bool gave_up) {
  Verdict verdict{std::move(found), false, gave_up};
  verdict.correct = verdict.extracted && LowerCase(Strip(*verdict.extracted)) == LowerCase(Strip(gold));
  return verdict;
}

// The first of the patterns that is found at all.
Verdict FirstPattern(std::span<const Regex> patterns, const Answer& answer) {
  const std::string text = Replaced(answer.prediction, "*", "");
  bool gave_up = false;
  for (const Regex& pattern : patterns) {
    if (const auto letter = pattern.FindFirst(text, &gave_up))
      return CompareLowered(UpperCaseAscii(*letter), answer.gold, gave_up);
  }
  return CompareLowered(std::nullopt, answer.gold, gave_up);
}

}  // namespace

Verdict MoeCapGsm8k(const Answer& answer) {
  const std::string gold = Replaced(answer.gold.substr(answer.gold.rfind('#') + 1), ",", "");
  return MoeCapNumber({answer.prediction, gold, {}});
}

Verdict MoeCapNumber(const Answer& answer) {
  bool gave_up = false;
  std::optional<std::string> number = Number(answer.prediction, &gave_up);
  return CompareLowered(std::move(number), answer.gold, gave_up);
}

Verdict MoeCapAToJ(const Answer& answer) {
  static const std::array<Regex, 3> patterns{Regex("[Tt]he answer is \\(?([A-J])\\)?"),
                                             Regex("(?i)(?:answer|option)\\s*(?:is|:)\\s*\\(?([A-J])\\)?"),
                                             Regex("\\b([A-J])\\b")};
  return FirstPattern(patterns, answer);
}

Verdict MoeCapAToD(const Answer& answer) {
  static const std::array<Regex, 3> patterns{Regex("(?i)The correct answer is \\(([A-D])\\)"),
                                             Regex("(?i)The correct answer is ([A-D])"), Regex("\\b([A-D])\\b")};
  return FirstPattern(patterns, answer);
}

}  // namespace moecap::accuracy
