#include "accuracy/gsm8k.h"

#include <array>

#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

constexpr std::string_view kMarkedNumber = "#### (\\-?[0-9\\.\\,]+)";

std::string NormaliseNumber(std::string text) {
  static const std::array<Regex, 4> ignored{Regex(","), Regex("\\$"), Regex("(?s).*#### "), Regex("\\.$")};
  for (const Regex& pattern : ignored) text = pattern.RemoveAll(text);
  return LowerCase(text);
}

Verdict CompareNumbers(std::optional<std::string> found, std::string_view gold, bool gave_up) {
  Verdict verdict{std::move(found), false, gave_up};
  if (verdict.extracted) {
    verdict.extracted = std::string(Strip(*verdict.extracted));
    verdict.correct = NormaliseNumber(*verdict.extracted) == NormaliseNumber(std::string(gold));
  }
  return verdict;
}

Verdict FirstOf(const Regex& pattern, const Answer& answer) {
  bool gave_up = false;
  std::optional<std::string> found = pattern.FindFirst(answer.prediction, &gave_up);
  return CompareNumbers(std::move(found), answer.gold, gave_up);
}

Verdict LastOf(const Regex& pattern, const Answer& answer) {
  bool gave_up = false;
  std::optional<std::string> found = pattern.FindLast(answer.prediction, &gave_up);
  return CompareNumbers(std::move(found), answer.gold, gave_up);
}

}  // namespace

Verdict ScoreGsm8k(std::string_view prediction, std::string_view gold, Gsm8kFilter filter) {
  const Answer answer{prediction, gold, {}};
  return filter == Gsm8kFilter::kStrictMatch ? Gsm8kStrictMatch(answer) : Gsm8kFlexibleExtract(answer);
}

Verdict Gsm8kStrictMatch(const Answer& answer) {
  static const Regex pattern(kMarkedNumber);
  return FirstOf(pattern, answer);
}

Verdict Gsm8kCotStrictMatch(const Answer& answer) {
  static const Regex pattern("The answer is (\\-?[0-9\\.\\,]+).");
  return FirstOf(pattern, answer);
}

Verdict Gsm8kCotLlamaStrictMatch(const Answer& answer) {
  static const Regex pattern("The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))");
  return LastOf(pattern, answer);
}

Verdict Gsm8kFlexibleExtract(const Answer& answer) {
  static const Regex pattern("(-?[$0-9.,]{2,})|(-?[0-9]+)");
  return LastOf(pattern, answer);
}

Verdict Gsm8kOfficial(const Answer& answer) {
  static const Regex pattern(kMarkedNumber);
  Verdict verdict;
  const auto number = [&](std::string_view text) {
    std::optional<std::string> found = pattern.FindFirst(text, &verdict.gave_up);
    if (found) Replace(*found, ",", "");
    return found;
  };
  verdict.extracted = number(answer.prediction);
  const std::optional<std::string> gold = number(answer.gold);
  verdict.correct = verdict.extracted && *verdict.extracted == gold.value_or(Replaced(Strip(answer.gold), ",", ""));
  return verdict;
}

}  // namespace moecap::accuracy
