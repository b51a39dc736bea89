#include "audit/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/units.h"

namespace moecap::audit {
namespace {

struct UnitRow {
  Unit unit;
  std::string_view name;
  double scale;            // shown value = value x scale
  std::string_view label;  // behind the shown value
};

constexpr UnitRow kUnits[] = {{Unit::kCount, "1", 1, ""},         {Unit::kParams, "params", 1e-9, "B"},
                              {Unit::kShare, "share", 100, " %"}, {Unit::kBytesPerS, "B/s", 1e-9, " GB/s"},
                              {Unit::kSeconds, "s", 1e3, " ms"},  {Unit::kUsd, "USD", 1, " USD"},
                              {Unit::kWatts, "W", 1, " W"},       {Unit::kScore, "score", 1, ""},
                              {Unit::kRatio, "ratio", 1, "x"},    {Unit::kTokens, "tokens", 1, " tok"}};

const UnitRow& RowOf(Unit unit) {
  for (const UnitRow& row : kUnits) {
    if (row.unit == unit) return row;
  }
  CHECK(false);
}

constexpr int kShownDigits = 4;
constexpr int kMostDigits = 15;
// Decimal inputs have no exact binary form; sums of them may miss the edge of the allowed range by their last bits.
constexpr double kRounding = 1e-9;

}  // namespace

Result<Printed> ParsePrinted(std::string_view text) {
  Printed printed;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, printed.value);
  const bool decimal = text.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  if (error != std::errc() || stop != end || !decimal || !std::isfinite(printed.value)) {
    return BadInput(fmt::format("\"{}\" is not a number such as 0.5305 or 1040e9", text));
  }
  const size_t exponent_at = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, exponent_at);
  const size_t point = mantissa.find('.');
  int last_digit = point == std::string_view::npos ? 0 : -static_cast<int>(mantissa.size() - point - 1);
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = text.substr(exponent_at + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    int exponent = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    last_digit += exponent;
  }
  printed.half_digit = 0.5 * std::pow(10.0, last_digit);
  return printed;
}

std::string_view UnitName(Unit unit) { return RowOf(unit).name; }

std::string FormatFigure(double value, Unit unit) {
  const UnitRow& row = RowOf(unit);
  const double shown = value * row.scale;
  const int whole_digits = std::abs(shown) >= 1 ? static_cast<int>(std::floor(std::log10(std::abs(shown)))) + 1 : 0;
  if (whole_digits > kMostDigits) return fmt::format("{:.3g}{}", shown, row.label);
  const int digits = std::max(kShownDigits, whole_digits);
  std::string text = FormatSignificant(shown, digits);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
  }
  return text + std::string(row.label);
}

std::string_view RelationName(Relation relation) {
  switch (relation) {
    case Relation::kEqual:
      return "=";
    case Relation::kOver:
      return ">";
    case Relation::kAtMost:
      return "<=";
  }
  CHECK(false);
}

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone:
      return "-";
    case Verdict::kAgrees:
      return "agrees";
    case Verdict::kDiffers:
      return "differs";
    case Verdict::kNotComputable:
      return "not computable";
  }
  CHECK(false);
}

Verdict Judge(const Figure& figure) {
  if (!figure.published_text.empty()) {
    if (figure.computed_text.empty()) return Verdict::kNotComputable;
    return figure.published_text == figure.computed_text ? Verdict::kAgrees : Verdict::kDiffers;
  }
  if (!figure.published) return Verdict::kNone;
  if (!figure.computed) return Verdict::kNotComputable;
  const double published = figure.published->value;
  const double allowed =
      std::max(figure.published->half_digit, figure.tolerance * std::abs(published)) + kRounding * std::abs(published);
  const double least = published - allowed, most = published + allowed;
  const double low = figure.low.value_or(*figure.computed), high = figure.high.value_or(*figure.computed);
  const auto bound = [](bool kept, bool possible) {
    if (kept) return Verdict::kAgrees;
    return possible ? Verdict::kNotComputable : Verdict::kDiffers;
  };
  switch (figure.relation) {
    case Relation::kEqual:
      if (high >= least && low <= most) return Verdict::kAgrees;
      if (std::ranges::any_of(figure.readings, [&](double value) { return value >= least && value <= most; }))
        return Verdict::kAgrees;
      if (figure.possible_low && *figure.possible_low <= most && *figure.possible_high >= least) return Verdict::kNotComputable;
      return Verdict::kDiffers;
    case Relation::kOver:
      return bound(*figure.computed >= least, high >= least);
    case Relation::kAtMost:
      return bound(*figure.computed <= most, low <= most);
  }
  CHECK(false);
}

std::optional<double> Difference(const Figure& figure) {
  if (!figure.published || !figure.computed) return std::nullopt;
  return *figure.computed - figure.published->value;
}

std::optional<double> RelativeDifference(const Figure& figure) {
  const auto difference = Difference(figure);
  if (!difference || figure.published->value == 0) return std::nullopt;
  return *difference / std::abs(figure.published->value);
}

Verdict ClaimReport::Overall() const {
  bool agrees = false, open = false;
  for (const Figure& figure : figures) {
    const Verdict verdict = Judge(figure);
    if (verdict == Verdict::kDiffers) return verdict;
    agrees = agrees || verdict == Verdict::kAgrees;
    open = open || verdict == Verdict::kNotComputable;
  }
  return agrees && !open ? Verdict::kAgrees : Verdict::kNotComputable;
}

}  // namespace moecap::audit
