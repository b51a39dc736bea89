#include "report/format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"

namespace moecap::report {
namespace {

constexpr int kMostDecimals = 5;

bool IsKnown(const std::optional<double>& value) { return value && std::isfinite(*value); }

template <typename Format>
std::string TextOf(const std::optional<double>& value, const Format& format) {
  return IsKnown(value) ? format(*value) : "";
}

}  // namespace

std::string NumberText(std::optional<double> value, double unit, int digits) {
  return TextOf(value, [=](double known) { return FormatSignificant(known / unit, digits); });
}

int CommonDecimals(std::span<const double> values, int digits_of_low, int digits_of_high) {
  double low = 0;
  double high = 0;
  for (const double value : values) {
    const double size = std::abs(value);
    if (size == 0 || !std::isfinite(size)) continue;
    low = low == 0 ? size : std::min(low, size);
    high = std::max(high, size);
  }
  if (high == 0) return 0;
  // A value just under a power of ten is printed as that power.
  const auto magnitude = [](double value) { return static_cast<int>(std::floor(std::log10(value * 1.0005))); };
  return std::clamp(std::max(digits_of_low - 1 - magnitude(low), digits_of_high - 1 - magnitude(high)), 0, kMostDecimals);
}

std::vector<std::string> AlignedNumbers(std::span<const std::optional<double>> values, double unit) {
  std::vector<double> known;
  for (const auto& value : values) {
    if (IsKnown(value)) known.push_back(*value / unit);
  }
  const int decimals = CommonDecimals(known);
  std::vector<std::string> texts;
  for (const auto& value : values) {
    // Figures that no measurement yields, e.g. of a damaged file, still fit a column.
    texts.push_back(TextOf(value, [&](double v) {
      return std::abs(v / unit) < 1e9 ? FormatFixed(v / unit, decimals) : FormatSignificant(v / unit, 3);
    }));
  }
  return texts;
}

std::string SecondsText(std::optional<double> seconds) { return TextOf(seconds, FormatSeconds); }

std::string BytesText(std::optional<double> bytes) { return TextOf(bytes, FormatBytes); }

std::string RateText(std::optional<double> per_second, const char* unit) {
  return TextOf(per_second, [unit](double value) { return FormatSi(value, unit); });
}

std::string MoneyText(std::optional<double> usd) {
  return TextOf(usd, [](double value) { return "USD " + FormatSignificant(value, 3); });
}

std::string ShareText(std::optional<double> fraction, int decimals) {
  return TextOf(fraction, [decimals](double value) { return FormatPercent(value, decimals); });
}

std::string TimesText(std::optional<double> ratio) {
  return TextOf(ratio, [](double value) { return FormatSignificant(value, 3) + "×"; });
}

std::string PointsText(std::optional<double> fraction, int decimals) {
  return TextOf(fraction, [decimals](double value) {
    return (value > 0 ? "+" : "") + FormatFixed(value / kPercent, decimals) + " points";
  });
}

std::string IntervalText(std::optional<double> low, std::optional<double> high, double unit) {
  if (!IsKnown(low) || !IsKnown(high)) return "";
  const std::vector<std::string> texts = AlignedNumbers(std::array{low, high}, unit);
  return texts[0] + " to " + texts[1];
}

std::string WithInterval(const std::string& value, const std::string& interval) {
  return value.empty() || interval.empty() ? value : value + " (" + interval + ")";
}

std::string UnsupportedText(int64_t samples_needed) { return fmt::format("n/a ({})", samples_needed); }

std::string PercentileText(const stats::QuantileEstimate& estimate, double unit) {
  return estimate.supported ? NumberText(estimate.value, unit) : UnsupportedText(estimate.samples_needed);
}

std::string BoundedText(const stats::QuantileEstimate& estimate, double unit) {
  std::string text = PercentileText(estimate, unit);
  if (!estimate.supported || !estimate.low || !estimate.high) return text;
  return fmt::format("{} ({}–{})", text, NumberText(estimate.low, unit), NumberText(estimate.high, unit));
}

std::string QuantileName(double q) { return "p" + fmt::format("{:.6g}", 100 * q); }

std::string CountText(int64_t count, const std::string& one, const std::string& many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string JoinWords(const std::vector<std::string>& words) {
  if (words.size() < 2) return words.empty() ? "" : words.front();
  return fmt::format("{} and {}", fmt::join(words.begin(), words.end() - 1, ", "), words.back());
}

std::string Sentence(std::string text) {
  if (text.empty()) return text;
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  if (text.back() != '.' && text.back() != '!' && text.back() != '?') text += '.';
  return text;
}

}  // namespace moecap::report
