#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_set>
#include <vector>

#include "accuracy/arena_hard.h"
#include "accuracy/bradley_terry.h"
#include "accuracy/unicode.h"
#include "base/check.h"
#include "base/rng.h"
#include "stats/summary.h"

namespace moecap::accuracy {
namespace {

constexpr double kLow = 0.05, kMiddle = 0.5, kHigh = 0.95;
constexpr size_t kStyles = std::tuple_size_v<decltype(StyleControlledScore::influence)>;

double QuantileOf(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return stats::Quantile(values, q);
}

// How much more of each style the model's answer has than the baseline's.
std::array<double, kStyles> StyleDifference(const AnswerStyle& model, const AnswerStyle& baseline) {
  const auto a = static_cast<double>(model.tokens), b = static_cast<double>(baseline.tokens);
  CHECK(a > 0 && b > 0);
  const auto density_difference = [&](int64_t of_model, int64_t of_baseline) {
    const double x = static_cast<double>(of_model) / a, y = static_cast<double>(of_baseline) / b;
    return (x - y) / (x + y + 1);
  };
  return {(a - b) / (a + b), density_difference(model.headers, baseline.headers),
          density_difference(model.lists, baseline.lists), density_difference(model.bolds, baseline.bolds)};
}

// Each column to mean 0 and standard deviation 1 (of samples, n - 1); a constant one to 0.
void Normalise(std::vector<double>& rows) {
  const size_t count = rows.size() / kStyles;
  for (size_t column = 0; column < kStyles; ++column) {
    std::vector<double> values(count);
    for (size_t row = 0; row < count; ++row) values[row] = rows[row * kStyles + column];
    const stats::Distribution spread = stats::Describe(values).value();
    const bool constant = spread.min == spread.max;
    for (size_t row = 0; row < count; ++row) {
      rows[row * kStyles + column] = constant ? 0 : (values[row] - spread.mean) / spread.stddev;
    }
  }
}

// Blanks from `at` on, over line ends.
size_t AfterBlanks(std::u32string_view text, size_t at) {
  while (at < text.size() && unicode::IsBlank(text[at])) ++at;
  return at;
}
bool BlankAt(std::u32string_view text, size_t at) { return at < text.size() && unicode::IsBlank(text[at]); }

// Whether "# " to "###### " stands at `at`.
bool IsHeader(std::u32string_view text, size_t at) {
  constexpr size_t kMostMarks = 6;
  size_t end = at;
  while (end < text.size() && text[end] == '#') ++end;
  return end > at && end - at <= kMostMarks && BlankAt(text, end);
}

// Whether "1. " or "- " stands at `at`.
bool IsListItem(std::u32string_view text, size_t at) {
  if (at >= text.size()) return false;
  size_t end = at;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  if (end > at) return end < text.size() && text[end] == '.' && BlankAt(text, end + 1);
  const bool bullet = text[at] == '-' || text[at] == '*' || text[at] == '+';
  return bullet && BlankAt(text, at + 1);
}

// Pieces of one line between two pairs of `mark` that hold no such mark.
int64_t CountEmphasised(std::u32string_view text, char32_t mark) {
  int64_t count = 0;
  size_t at = 0;
  const auto pair_at = [&](size_t i) { return i + 1 < text.size() && text[i] == mark && text[i + 1] == mark; };
  while (at < text.size()) {
    size_t end = at + 2;
    while (pair_at(at) && end < text.size() && text[end] != mark && text[end] != '\n') ++end;
    const bool found = pair_at(at) && end > at + 2 && pair_at(end);
    count += found ? 1 : 0;
    at = found ? end + 2 : at + 1;
  }
  return count;
}

std::string Without(std::string_view text, std::string_view piece) {
  std::string kept;
  for (const std::string_view part : unicode::SplitAt(text, piece)) kept += part;
  return kept;
}

// Without what stands between fences, wherever it stands.
std::string WithoutFencedText(std::string_view answer) {
  std::string text(answer);
  constexpr std::string_view kFence = "```";
  std::unordered_set<std::string_view> removed{""};
  for (size_t at = 0; (at = answer.find(kFence, at)) != std::string_view::npos;) {
    const size_t from = at + kFence.size(), end = answer.find('`', from);
    if (end == std::string_view::npos) break;
    if (!answer.substr(end).starts_with(kFence)) {
      ++at;
      continue;
    }
    const std::string_view block = answer.substr(from, end - from);
    if (removed.insert(block).second) text = Without(text, block);
    at = end + kFence.size();
  }
  return text;
}

}  // namespace

AnswerStyle MarkdownStyle(std::string_view answer) {
  const std::u32string text = unicode::CodePoints(WithoutFencedText(answer));
  AnswerStyle style;
  size_t next_item = 0;  // where the next item of a list may begin
  for (size_t line = 0; line <= text.size();) {
    if (IsHeader(text, line)) ++style.headers;
    if (line >= next_item) {
      const size_t item = AfterBlanks(text, line);
      if (IsListItem(text, item)) ++style.lists;
      // Blank lines before it begin the same item.
      next_item = item + 1;
    }
    const size_t end_of_line = text.find('\n', line);
    if (end_of_line == std::u32string::npos) break;
    line = end_of_line + 1;
  }
  style.bolds = CountEmphasised(text, '*') + CountEmphasised(text, '_');
  return style;
}

std::optional<ArenaScore> BootstrapMean(std::span<const double> outcomes, const Bootstrap& bootstrap) {
  CHECK(bootstrap.rounds >= 1);
  if (outcomes.empty()) return std::nullopt;
  Rng rng(bootstrap.seed);
  std::vector<double> means;
  double sum_of_means = 0;
  for (int round = 0; round < bootstrap.rounds; ++round) {
    double sum = 0;
    for (size_t i = 0; i < outcomes.size(); ++i) sum += outcomes[rng.Below(outcomes.size())];
    means.push_back(sum / static_cast<double>(outcomes.size()));
    sum_of_means += means.back();
  }
  return ArenaScore{sum_of_means / static_cast<double>(bootstrap.rounds), QuantileOf(means, kLow), QuantileOf(means, kHigh)};
}

std::optional<StyleControlledScore> StyleControlled(const ArenaBattles& battles, std::span<const AnswerStyle> model,
                                                    std::span<const AnswerStyle> baseline, const Bootstrap& bootstrap) {
  CHECK(bootstrap.rounds >= 1 && model.size() == baseline.size());
  const size_t count = battles.outcomes.size();
  if (count == 0) return std::nullopt;
  Battles fitted{std::vector<size_t>(count), battles.outcomes, {}, kStyles};
  for (const size_t question : battles.question) {
    CHECK(question < model.size());
    const std::array<double, kStyles> difference = StyleDifference(model[question], baseline[question]);
    fitted.features.insert(fitted.features.end(), difference.begin(), difference.end());
  }
  Normalise(fitted.features);
  Rng rng(bootstrap.seed);
  std::vector<double> rates;
  std::array<std::vector<double>, kStyles> influences;
  for (int round = 0; round < bootstrap.rounds; ++round) {
    std::vector<double> drawn(count);
    for (size_t i = 0; i < count; ++i) ++drawn[rng.Below(count)];
    const BradleyTerryFit fit = FitBradleyTerry(fitted, 1, drawn);
    rates.push_back(WinRate(fit.strength[0]));
    for (size_t style = 0; style < kStyles; ++style) influences[style].push_back(fit.influence[style]);
  }
  StyleControlledScore result;
  result.score = {QuantileOf(rates, kMiddle), QuantileOf(rates, kLow), QuantileOf(rates, kHigh)};
  for (size_t style = 0; style < kStyles; ++style) result.influence[style] = QuantileOf(influences[style], kMiddle);
  return result;
}

}  // namespace moecap::accuracy
