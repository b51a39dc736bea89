// How many requests of its own a watch may send for the experts in their answers.
#pragma once

#include <cstdint>

#include "live/reading.h"

namespace moecap::live {

// Shares, 0..1, of what the server has done since the watch began; both hold.
struct ProbeBudget {
  double requests_share = 0;  // of the finished requests
  double tokens_share = 0;    // of the computed tokens
};

// Whether one more probe, of about `next_tokens`, stays within the budget.
inline bool MayProbe(const ProbeBudget& budget, const Probes& so_far, int64_t next_tokens, double seen_requests,
                     double seen_tokens) {
  return static_cast<double>(so_far.sent + 1) <= budget.requests_share * seen_requests &&
         static_cast<double>(so_far.tokens + next_tokens) <= budget.tokens_share * seen_tokens;
}

}  // namespace moecap::live
