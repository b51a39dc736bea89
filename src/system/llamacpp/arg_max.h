// The greedy choice among logits. A vocabulary of 150,000 for each of 64 requests is 40 MB to look through after every pass.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>

namespace moecap::llamacpp {

// The index of the largest, the first of equal ones; 0 when there is none (all NaN). Requires at least one.
inline size_t ArgMax(std::span<const float> logits) {
  // The value first, in lanes that do not wait for each other and become vectors; then where it stands.
  std::array<float, 32> lanes;
  lanes.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + lanes.size() <= logits.size(); i += lanes.size()) {
    for (size_t lane = 0; lane < lanes.size(); ++lane)
      lanes[lane] = lanes[lane] < logits[i + lane] ? logits[i + lane] : lanes[lane];
  }
  float largest = *std::max_element(lanes.begin(), lanes.end());
  for (; i < logits.size(); ++i) largest = largest < logits[i] ? logits[i] : largest;
  const auto found = std::find(logits.begin(), logits.end(), largest);
  return found == logits.end() ? 0 : static_cast<size_t>(found - logits.begin());
}

}  // namespace moecap::llamacpp
