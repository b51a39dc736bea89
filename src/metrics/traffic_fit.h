// How well the named terms of pass_traffic.h predict what no counter of theirs has seen: their sizes are fitted on some counted
// passes and tried on others.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "metrics/pass_traffic.h"

namespace moecap::metrics {

inline constexpr size_t kTrafficTerms = 8;
inline constexpr std::array<std::string_view, kTrafficTerms> kTrafficTermList = {
    "KV padding", "outside windows", "tiles again", "slots again", "activations", "partials", "row ends", "logits"};

// A counted pass with its terms.
struct CountedTraffic {
  std::array<double, kTrafficTerms> terms{};  // bytes, in the order of kTrafficTermList
  double formula_bytes = 0;                   // in the complete convention
  double counted_bytes = 0;                   // > 0
};
CountedTraffic MakeCountedTraffic(const PassTraffic& traffic, double formula_bytes, double counted_bytes);

// counted bytes = formula + sum of scale x term.
struct TrafficScales {
  std::array<double, kTrafficTerms> scale{};
  // Whether a pass that was fitted has the term, in more than a thousandth of its bytes. One that none has keeps a scale of 1:
  // it counts as derived.
  std::array<bool, kTrafficTerms> fitted{};
};

// Least squares of the errors relative to the counted bytes, scales from 0. A weak tie to 1, as strong as one pass whose term
// is a thousandth of its bytes, decides what the passes leave open.
TrafficScales FitTraffic(std::span<const CountedTraffic> passes);

// Relative error of the sum: predicted / counted - 1.
double ErrorOf(const TrafficScales& scales, const CountedTraffic& pass);

}  // namespace moecap::metrics
