// Has a trace seen enough? The first half of its tokens against the second.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace moecap::routing {

enum class Stability {
  kStable,    // the halves agree: more text of the same kind would not change the popularity
  kMoreData,  // they differ as much as chance lets two samples of this size differ: record more tokens
  kShifting,  // they differ by more than chance: the text changed, or neighbouring tokens choose alike
};
// "stable", "more-data", "shifting".
std::string_view Name(Stability stability);

struct SplitHalf {
  double total_variation = 0;  // 1/2 sum_i |p_i - q_i| of the halves' popularities, 0..1
  // Its expectation if every token were an independent draw from the popularity of both halves together: each share is then
  // nearly normal with variance r (1 - r) / (k^2 N), r the rate of the expert per token, and E|x| = s sqrt(2 / pi).
  double expected_total_variation = 0;
  Stability verdict = Stability::kMoreData;
  // Tokens after which the halves would agree, if what is seen is chance: tokens x (total variation / tolerance)^2; the tokens
  // themselves when they already agree.
  int64_t tokens_needed = 0;
};

// The whole trace's popularity is off by about half the halves' difference, 2.5 % of the traffic at this tolerance.
inline constexpr double kStableTotalVariation = 0.05;
// Above this ratio of observed to expected, chance is no explanation.
inline constexpr double kShiftRatio = 1.5;

// Counts per expert of the two halves (equal lengths), the tokens of each, and the experts per token. Requires top_k > 0 and
// both tokens > 0.
SplitHalf CompareHalves(std::span<const int64_t> first, int64_t first_tokens, std::span<const int64_t> second,
                        int64_t second_tokens, double top_k);

}  // namespace moecap::routing
