#include "routing/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moecap::routing {
namespace {

template <typename T>
LayerLoad Summarize(std::span<const T> counts) {
  LayerLoad load;
  load.experts = static_cast<int>(counts.size());
  load.assignments = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  load.distinct = static_cast<int>(std::count_if(counts.begin(), counts.end(), [](T count) { return count > 0; }));
  load.popularity.assign(counts.size(), 0.0);
  if (load.assignments <= 0) return load;
  const auto total = static_cast<double>(load.assignments);
  const double mean = total / static_cast<double>(load.experts);
  double squares = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto count = static_cast<double>(counts[i]);
    const double share = count / total;
    load.popularity[i] = share;
    if (share > 0) load.entropy_bits -= share * std::log2(share);
    squares += (count - mean) * (count - mean);
    load.max_over_mean = std::max(load.max_over_mean, count / mean);
  }
  load.cv = std::sqrt(squares / static_cast<double>(load.experts)) / mean;
  load.normalized_entropy = load.experts > 1 ? load.entropy_bits / std::log2(load.experts) : 1;
  return load;
}

}  // namespace

LayerLoad SummarizeLayer(std::span<const int32_t> counts) { return Summarize(counts); }
LayerLoad SummarizeLayer(std::span<const int64_t> counts) { return Summarize(counts); }

void AccumulateCounts(const std::vector<std::vector<int32_t>>& counts, std::vector<std::vector<int64_t>>& total) {
  if (total.size() < counts.size()) total.resize(counts.size());
  for (size_t layer = 0; layer < counts.size(); ++layer) {
    if (total[layer].size() < counts[layer].size()) total[layer].resize(counts[layer].size());
    for (size_t expert = 0; expert < counts[layer].size(); ++expert) total[layer][expert] += counts[layer][expert];
  }
}

}  // namespace moecap::routing
