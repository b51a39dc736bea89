// Numbers as text for people. Files and JSON carry plain SI numbers instead; these strings are for reports and progress lines.
#pragma once

#include <cstdint>
#include <string>

namespace moecap {

// `value` with exactly `decimals` digits after the point; "inf" and "nan" for those.
std::string FormatFixed(double value, int decimals);

// `value` rounded to `digits` significant digits, without an exponent below 1e15: 0.0123, 4.57, 45.7, 457, 4570.
std::string FormatSignificant(double value, int digits);

inline constexpr double kSecondsPerHour = 3600;

// A duration with the unit that fits: "850 us", "12.3 ms", "4.57 s", "3 min 20 s", "2 h 05 min".
std::string FormatSeconds(double seconds);

// Decimal multiples, three significant digits: "512 B", "1.23 GB".
std::string FormatBytes(double bytes);

// FormatSi(2.56e10, "B/s") = "25.6 GB/s"; FormatSi(1.2e12, "FLOP/s") = "1.20 TFLOP/s".
std::string FormatSi(double value, const char* unit);

// Parameters as the field writes them: "847", "1.54M", "30.5B", "1.04T".
std::string FormatParams(int64_t count);

// A fraction as a percentage with `decimals` digits: 0.423 -> "42.3 %".
std::string FormatPercent(double fraction, int decimals);

}  // namespace moecap
