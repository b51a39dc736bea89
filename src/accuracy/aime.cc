#include "accuracy/aime.h"

#include <charconv>

#include "accuracy/boxed.h"
#include "accuracy/hendrycks.h"
#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

constexpr int kGreatest = 999;

std::optional<int> SmallInteger(std::string_view text) {
  text = Strip(text);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Verdict AimeLmEval(const Answer& answer) {
  const std::string text = LastBoxed(answer.prediction).value_or(std::string(BetweenDollars(answer.prediction)));
  return {text, HendrycksEqual(text, answer.gold), false};
}

Verdict AimeMlperf(const Answer& answer) {
  static const Regex boxed("\\\\boxed{\\s*(\\d+)\\s*}");
  static const Regex labelled("(?im)Answer:\\s*(\\d+)(?!\\.)\\b");
  Verdict verdict;
  std::optional<std::string> found = boxed.FindLast(answer.prediction, &verdict.gave_up);
  if (!found) found = labelled.FindLast(answer.prediction, &verdict.gave_up);
  const std::optional<int> value = found ? SmallInteger(*found) : std::nullopt;
  if (!value || *value > kGreatest) return verdict;
  verdict.extracted = std::to_string(*value);
  verdict.correct = value == SmallInteger(answer.gold);
  return verdict;
}

}  // namespace moecap::accuracy
