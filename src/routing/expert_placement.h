// Where the experts of a layer lie when ranks share them (expert parallelism), and a placement that balances their loads.
//
// A rank has so many places, each for one expert; an expert may lie in several (replicas), which then share its tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace moecap::routing {

struct ExpertPlacement {
  int ranks = 1;
  std::vector<int> expert_of;  // [place]; those of a rank are neighbours, equally many on each

  int PlacesPerRank() const { return static_cast<int>(expert_of.size()) / ranks; }
  int RankOf(size_t place) const { return static_cast<int>(place) / PlacesPerRank(); }
  // Of each expert.
  std::vector<int> Replicas(int experts) const;

  friend bool operator==(const ExpertPlacement&, const ExpertPlacement&) = default;
};

// Experts in order, equally many a rank: what servers start with. Requires ranks dividing experts.
ExpertPlacement LinearPlacement(int experts, int ranks);
// Expert e on rank e mod ranks. Requires ranks dividing experts.
ExpertPlacement RoundRobinPlacement(int experts, int ranks);

// What a placement has to keep to.
struct PlacementShape {
  int ranks = 1;
  int places = 1;  // of all ranks: experts + redundant ones, a multiple of ranks
  int nodes = 1;   // of ranks / nodes ranks each
  int groups = 1;  // of neighbouring experts, which routing chooses together (group-limited routing): kept on one node each
};
// Errors: kBadInput naming the figures that do not divide, or fewer places than experts.
Status CheckShape(const PlacementShape& shape, int experts);

// DeepSeek's load balancer (EPLB; DeepSeek-V3 report, arXiv 2412.19437, 3.4, and its description): where `nodes` divides
// `groups`, hierarchically, else over all ranks at once:
//   1. groups to nodes, the heaviest first to the lightest node that has room;
//   2. in each node one more replica, as long as there are places, to the expert with the most load a replica;
//   3. replicas to the ranks of the node, the heaviest first to the lightest rank that has room.
// Then, beyond that description, pairs of places change their contents between the heaviest rank of a node and another as long
// as that lowers the larger of both loads: never worse than the steps alone. `load`: tokens of each expert, not negative.
// Requires CheckShape.
ExpertPlacement BalanceExperts(std::span<const double> load, const PlacementShape& shape);

}  // namespace moecap::routing
