// Figures as the words of a report. Null in, empty text out: an empty cell of a table (document.h) is null. What is not finite
// counts as null. SI units in; the unit of a text is in the text or, where a parameter `unit` divides the value, in the heading
// of its column.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/quantile_bounds.h"

namespace moecap::report {

inline constexpr double kMilli = 1e-3;    // of seconds, printed as ms
inline constexpr double kPercent = 0.01;  // of shares, printed as %

// `value` / `unit` with `digits` significant digits: "12.3".
std::string NumberText(std::optional<double> value, double unit = 1, int digits = 3);

// The same for a column, with as many decimals in each as tell the smallest in two and the largest in three significant digits,
// so that the figures line up.
std::vector<std::string> AlignedNumbers(std::span<const std::optional<double>> values, double unit = 1);

// The digits after the point of AlignedNumbers, for `values` that are divided already.
int CommonDecimals(std::span<const double> values, int digits_of_low = 2, int digits_of_high = 3);

std::string SecondsText(std::optional<double> seconds);                    // "12.3 ms"
std::string BytesText(std::optional<double> bytes);                        // "1.23 GB"
std::string RateText(std::optional<double> per_second, const char* unit);  // "25.6 GB/s" for unit "B/s"
std::string MoneyText(std::optional<double> usd);                          // "USD 1.23"
std::string ShareText(std::optional<double> fraction, int decimals = 1);   // "42.3 %"
std::string TimesText(std::optional<double> ratio);                        // "1.03×"

// A difference of two shares in points of a hundred, with its sign: "+3.0 points".
std::string PointsText(std::optional<double> fraction, int decimals = 1);

// "11.9 to 12.8", with the same decimals; empty when a bound is null.
std::string IntervalText(std::optional<double> low, std::optional<double> high, double unit = 1);

// "12.3 (11.9 to 12.8)", "12.3" without an interval.
std::string WithInterval(const std::string& value, const std::string& interval);

// A figure that the sample does not support, with the samples that it needs: "n/a (662)".
std::string UnsupportedText(int64_t samples_needed);

// A percentile in units of `unit`, or UnsupportedText.
std::string PercentileText(const stats::QuantileEstimate& estimate, double unit);

// The same with its bounds: "12.3 (11.9–12.8)". Shorter than IntervalText, so that three fit beside each other.
std::string BoundedText(const stats::QuantileEstimate& estimate, double unit);

// "p99", "p99.9".
std::string QuantileName(double q);

// "1 system", "3 systems".
std::string CountText(int64_t count, const std::string& one, const std::string& many);

// "a", "a and b", "a, b and c".
std::string JoinWords(const std::vector<std::string>& words);

// With a capital and a full stop: "it is faster" -> "It is faster." Empty stays empty.
std::string Sentence(std::string text);

}  // namespace moecap::report
