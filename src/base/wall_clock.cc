#include "base/wall_clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>
#include <thread>

namespace moecap {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kLongestSleepNs = 100'000'000;
constexpr int kLooks = 5;

// Digits after the point as nanoseconds; -1 for anything else.
int64_t FractionNs(std::string_view digits) {
  int64_t value = 0, unit = kSecondNs;
  for (const char c : digits) {
    if (c < '0' || c > '9') return -1;
    unit /= 10;
    value += unit * (c - '0');
  }
  return digits.empty() ? -1 : value;
}

std::string Format(std::time_t seconds, const char* format) {
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), format, &utc);
  return {text.data(), size};
}

}  // namespace

int64_t WallTimeNs() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return int64_t{time.tv_sec} * kSecondNs + time.tv_nsec;
}

std::string WallTimeIso8601() { return Format(std::time(nullptr), "%Y-%m-%dT%H:%M:%SZ"); }
std::string WallTimeCompact() { return Format(std::time(nullptr), "%Y%m%d-%H%M%S"); }

std::string Iso8601(int64_t wall_ns) {
  const std::string whole = Format(wall_ns / kSecondNs, "%Y-%m-%dT%H:%M:%S");
  const int64_t milliseconds = wall_ns % kSecondNs / 1'000'000;
  return milliseconds == 0 ? whole + "Z" : fmt::format("{}.{:03}Z", whole, milliseconds);
}

Result<int64_t> ParseIso8601(std::string_view text) {
  const auto wrong = [&] { return BadInput(fmt::format("\"{}\" is no time; write UTC as 2026-01-31T12:00:00Z", text)); };
  std::tm utc{};
  const std::string copy(text);
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) return wrong();
  std::string_view end(rest);
  if (!end.ends_with('Z')) return wrong();
  end.remove_suffix(1);
  int64_t fraction_ns = 0;
  if (end.starts_with('.')) {
    fraction_ns = FractionNs(end.substr(1));
  } else if (!end.empty()) {
    return wrong();
  }
  if (fraction_ns < 0) return wrong();
  return int64_t{timegm(&utc)} * kSecondNs + fraction_ns;
}

// Of a few looks the one in which least time passed between the two clocks.
int64_t SteadyTimeOf(int64_t wall_ns, const Clock& clock) {
  int64_t narrowest_ns = std::numeric_limits<int64_t>::max(), difference_ns = 0;
  for (int i = 0; i < kLooks; ++i) {
    const int64_t before_ns = clock.NowNs(), wall_now_ns = WallTimeNs(), after_ns = clock.NowNs();
    if (after_ns - before_ns >= narrowest_ns) continue;
    narrowest_ns = after_ns - before_ns;
    difference_ns = before_ns + narrowest_ns / 2 - wall_now_ns;
  }
  return wall_ns + difference_ns;
}

void SleepUntil(const Clock& clock, int64_t until_ns, const std::function<bool()>& stop) {
  for (int64_t now_ns = clock.NowNs(); now_ns < until_ns && !(stop && stop()); now_ns = clock.NowNs())
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(until_ns - now_ns, kLongestSleepNs)));
}

}  // namespace moecap
