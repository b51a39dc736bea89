#include "base/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace moecap {
namespace {

struct Scaled {
  double value;
  size_t step;  // how many times divided by 1000
};

Scaled ScaleDown(double value, size_t max_step) {
  Scaled scaled{value, 0};
  // 999.5 rounds to 1000 at three digits, so it already takes the next unit.
  while (std::abs(scaled.value) >= 999.5 && scaled.step < max_step) {
    scaled.value /= 1000;
    ++scaled.step;
  }
  return scaled;
}

}  // namespace

std::string FormatFixed(double value, int decimals) {
  const std::string text = fmt::format("{:.{}f}", value, decimals);
  // "-0.0" reads as a sign that carries information.
  return text.find_first_not_of("-0.") == std::string::npos && text[0] == '-' ? text.substr(1) : text;
}

std::string FormatSignificant(double value, int digits) {
  if (!std::isfinite(value) || value == 0) return FormatFixed(value, 0);
  if (std::abs(value) >= 1e15) return fmt::format("{:.{}g}", value, digits);
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  const double unit = std::pow(10.0, magnitude - digits + 1);
  const double rounded = std::round(value / unit) * unit;
  // Rounding can carry into the next decade: 9.996 -> 10.0.
  const int decade = static_cast<int>(std::floor(std::log10(std::abs(rounded)) + 1e-9));
  return FormatFixed(rounded, std::max(0, digits - 1 - decade));
}

std::string FormatSeconds(double seconds) {
  const double size = std::abs(seconds);
  if (!std::isfinite(seconds) || size == 0) return FormatFixed(seconds, 0) + " s";
  if (size < 0.9995e-3) return FormatSignificant(seconds * 1e6, 3) + " us";
  if (size < 0.9995) return FormatSignificant(seconds * 1e3, 3) + " ms";
  if (size < 99.95) return FormatSignificant(seconds, 3) + " s";
  if (size > 1e9) return FormatSignificant(seconds, 3) + " s";
  const auto whole = std::llround(seconds);
  if (size < 3600) return fmt::format("{} min {:02} s", whole / 60, std::abs(whole % 60));
  return fmt::format("{} h {:02} min", whole / 3600, std::abs(whole % 3600) / 60);
}

std::string FormatSi(double value, const char* unit) {
  static constexpr std::array<const char*, 7> kPrefixes = {"", "k", "M", "G", "T", "P", "E"};
  const Scaled scaled = ScaleDown(value, kPrefixes.size() - 1);
  return fmt::format("{} {}{}", FormatSignificant(scaled.value, 3), kPrefixes[scaled.step], unit);
}

std::string FormatBytes(double bytes) { return std::abs(bytes) < 999.5 ? FormatFixed(bytes, 0) + " B" : FormatSi(bytes, "B"); }

std::string FormatParams(int64_t count) {
  static constexpr std::array<const char*, 5> kSuffixes = {"", "K", "M", "B", "T"};
  const Scaled scaled = ScaleDown(static_cast<double>(count), kSuffixes.size() - 1);
  if (scaled.step == 0) return std::to_string(count);
  return FormatSignificant(scaled.value, 3) + kSuffixes[scaled.step];
}

std::string FormatPercent(double fraction, int decimals) { return FormatFixed(fraction * 100, decimals) + " %"; }

}  // namespace moecap
