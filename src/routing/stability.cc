#include "routing/stability.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace moecap::routing {

std::string_view Name(Stability stability) {
  switch (stability) {
    case Stability::kStable:
      return "stable";
    case Stability::kMoreData:
      return "more-data";
    case Stability::kShifting:
      return "shifting";
  }
  return "";
}

SplitHalf CompareHalves(std::span<const int64_t> first, int64_t first_tokens, std::span<const int64_t> second,
                        int64_t second_tokens, double top_k) {
  CHECK(first.size() == second.size() && first_tokens > 0 && second_tokens > 0 && top_k > 0);
  const auto a = static_cast<double>(first_tokens);
  const auto b = static_cast<double>(second_tokens);
  SplitHalf result;
  for (size_t i = 0; i < first.size(); ++i) {
    const auto in_first = static_cast<double>(first[i]);
    const auto in_second = static_cast<double>(second[i]);
    const double rate = std::min(1.0, (in_first + in_second) / (a + b));
    result.total_variation += std::abs(in_first / a - in_second / b) / (2 * top_k);
    const double variance = rate * (1 - rate) / (top_k * top_k) * (1 / a + 1 / b);
    result.expected_total_variation += std::sqrt(variance * 2 / std::numbers::pi) / 2;
  }
  const double tv = result.total_variation;
  result.verdict = tv <= kStableTotalVariation                           ? Stability::kStable
                   : tv <= kShiftRatio * result.expected_total_variation ? Stability::kMoreData
                                                                         : Stability::kShifting;
  const double growth = std::max(1.0, tv / kStableTotalVariation);
  result.tokens_needed = static_cast<int64_t>(std::ceil((a + b) * growth * growth));
  return result;
}

}  // namespace moecap::routing
