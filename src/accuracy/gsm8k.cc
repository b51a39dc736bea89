#include "accuracy/gsm8k.h"

#include <algorithm>
#include <array>

#include "accuracy/regex.h"

namespace moecap::accuracy {
namespace {

std::string Normalise(std::string text) {
  static const std::array<Regex, 4> ignored{Regex(","), Regex("\\$"), Regex("(?s).*#### "), Regex("\\.$")};
  for (const Regex& pattern : ignored) text = pattern.RemoveAll(text);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::optional<std::string> Extract(std::string_view prediction, Gsm8kFilter filter) {
  static const Regex strict("#### (\\-?[0-9\\.\\,]+)");
  static const Regex flexible("(-?[$0-9.,]{2,})|(-?[0-9]+)");
  const bool is_strict = filter == Gsm8kFilter::kStrictMatch;
  std::vector<std::string> found = (is_strict ? strict : flexible).FindAll(prediction);
  if (found.empty()) return std::nullopt;
  return is_strict ? found.front() : found.back();
}

}  // namespace

Verdict ScoreGsm8k(std::string_view prediction, std::string_view gold, Gsm8kFilter filter) {
  Verdict verdict{Extract(prediction, filter), false};
  if (verdict.extracted) verdict.correct = Normalise(*verdict.extracted) == Normalise(std::string(gold));
  return verdict;
}

}  // namespace moecap::accuracy
