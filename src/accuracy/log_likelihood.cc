#include "accuracy/log_likelihood.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

namespace moecap::accuracy {
namespace {

constexpr size_t kMostChoices = 26;

// Empty where the text is no list of numbers.
std::vector<double> LikelihoodsOf(std::string_view text) {
  std::vector<double> numbers;
  if (!text.starts_with('[') || !text.ends_with(']')) return numbers;
  text = text.substr(1, text.size() - 2);
  for (;;) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || std::isnan(number)) return {};
    numbers.push_back(number);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.empty()) return numbers.size() <= kMostChoices ? numbers : std::vector<double>();
    if (text.front() != ',') return {};
    text.remove_prefix(1);
  }
}

Verdict Likeliest(const std::vector<double>& values, std::string_view gold) {
  if (values.empty()) return {};
  const auto best = std::ranges::max_element(values) - values.begin();
  const std::string letter(1, static_cast<char>('A' + best));
  return {letter, letter == gold, false};
}

// Of UTF-8.
double CharactersOf(std::string_view text) {
  return static_cast<double>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

Verdict LikeliestChoice(const Answer& answer) { return Likeliest(LikelihoodsOf(answer.prediction), answer.gold); }

Verdict LikeliestCharacterwise(const Answer& answer) {
  std::vector<double> values = LikelihoodsOf(answer.prediction);
  if (values.size() != answer.choices.size()) return {};
  for (size_t i = 0; i < values.size(); ++i) values[i] /= CharactersOf(answer.choices[i]);
  return Likeliest(values, answer.gold);
}

}  // namespace moecap::accuracy
