// Statistics of recorded routing: how evenly the tokens of a layer are spread over its experts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moecap::routing {

// Of one MoE layer, from the number of tokens routed to each expert.
struct LayerLoad {
  int64_t assignments = 0;         // sum of the counts: tokens x top-k
  int experts = 0;                 // length of the counts
  int distinct = 0;                // experts with at least one token
  std::vector<double> popularity;  // share of the assignments per expert, summing to 1; all zeros when nothing was routed
  double entropy_bits = 0;         // -sum p log2 p; log2(experts) = perfectly even
  double normalized_entropy = 0;   // entropy / log2(experts), 0..1; 0 when nothing was routed
  double cv = 0;                   // population standard deviation / mean of the counts
  double max_over_mean = 0;        // load of the busiest expert against the mean; 0 when nothing was routed
};

LayerLoad SummarizeLayer(std::span<const int32_t> counts);
LayerLoad SummarizeLayer(std::span<const int64_t> counts);

// Adds one record's counts ([layer][expert]) into `total`, which grows to the record's shape.
void AccumulateCounts(const std::vector<std::vector<int32_t>>& counts, std::vector<std::vector<int64_t>>& total);

}  // namespace moecap::routing
