#include "routing/expert_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <queue>

#include "base/check.h"

namespace moecap::routing {
namespace {

std::vector<size_t> HeaviestFirst(std::span<const double> weights) {
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weights[a] > weights[b]; });
  return order;
}

// The pack of each item, equally many items a pack: the heaviest first to the lightest pack that has room.
std::vector<size_t> Pack(std::span<const double> weights, size_t packs) {
  const size_t room = weights.size() / packs;
  std::vector<double> load(packs);
  std::vector<size_t> items(packs), pack_of(weights.size());
  for (const size_t item : HeaviestFirst(weights)) {
    size_t lightest = packs;
    for (size_t pack = 0; pack < packs; ++pack) {
      if (items[pack] < room && (lightest == packs || load[pack] < load[lightest])) lightest = pack;
    }
    pack_of[item] = lightest;
    load[lightest] += weights[item];
    ++items[lightest];
  }
  return pack_of;
}

// Which of `experts` each of `places` places holds: every one once, then again and again the one with the most load a replica.
std::vector<int> Replicate(std::span<const int> experts, std::span<const double> load, size_t places) {
  struct Replicated {
    double each;   // load of one replica
    size_t index;  // of equals the first
    int replicas;
    bool operator<(const Replicated& other) const { return each != other.each ? each < other.each : index > other.index; }
  };
  std::priority_queue<Replicated> heaviest;
  std::vector<int> held(experts.begin(), experts.end());
  for (size_t i = 0; i < experts.size(); ++i) heaviest.push({load[static_cast<size_t>(experts[i])], i, 1});
  while (held.size() < places) {
    Replicated top = heaviest.top();
    heaviest.pop();
    const int expert = experts[top.index];
    held.push_back(expert);
    ++top.replicas;
    top.each = load[static_cast<size_t>(expert)] / top.replicas;
    heaviest.push(top);
  }
  return held;
}

// The ranks of one node: which replica lies where, and what each weighs.
class NodeRanks {
 public:
  NodeRanks(std::vector<int> held, std::span<const double> weights, size_t ranks)
      : ranks_(ranks), room_(held.size() / ranks), experts_(held.size()), weights_(held.size()), loads_(ranks) {
    const std::vector<size_t> rank_of = Pack(weights, ranks);
    std::vector<size_t> next(ranks);
    for (size_t i = 0; i < held.size(); ++i) {
      const size_t place = rank_of[i] * room_ + next[rank_of[i]]++;
      experts_[place] = held[i];
      weights_[place] = weights[i];
      loads_[rank_of[i]] += weights[i];
    }
  }

  void Refine() {
    const size_t most = 4 * experts_.size();  // each lowers the heaviest rank, or makes another one the heaviest
    for (size_t round = 0; round < most && LowerHeaviest(); ++round) {
    }
  }
  const std::vector<int>& experts() const { return experts_; }

 private:
  // The exchange with the heaviest rank that leaves the larger of both loads least; false when none lowers it.
  bool LowerHeaviest() {
    const auto heaviest = static_cast<size_t>(std::max_element(loads_.begin(), loads_.end()) - loads_.begin());
    double least = loads_[heaviest] * (1 - 1e-9);
    size_t give = 0, take = 0;
    for (size_t a = heaviest * room_; a < (heaviest + 1) * room_; ++a) {
      for (size_t b = 0; b < weights_.size(); ++b) {
        const size_t other = b / room_;
        if (other == heaviest || weights_[b] >= weights_[a]) continue;
        const double moved = weights_[a] - weights_[b];
        const double larger = std::max(loads_[heaviest] - moved, loads_[other] + moved);
        if (larger < least) {
          least = larger;
          give = a;
          take = b;
        }
      }
    }
    if (give == take) return false;
    const double moved = weights_[give] - weights_[take];
    loads_[heaviest] -= moved;
    loads_[take / room_] += moved;
    std::swap(experts_[give], experts_[take]);
    std::swap(weights_[give], weights_[take]);
    return true;
  }

  size_t ranks_, room_;
  std::vector<int> experts_;  // [place]
  std::vector<double> weights_, loads_;
};

// The experts of each node.
std::vector<std::vector<int>> ExpertsOfNodes(std::span<const double> load, size_t groups, size_t nodes) {
  const size_t size = load.size() / groups;
  std::vector<double> of_group(groups);
  for (size_t expert = 0; expert < load.size(); ++expert) of_group[expert / size] += load[expert];
  const std::vector<size_t> node_of = Pack(of_group, nodes);
  std::vector<std::vector<int>> experts(nodes);
  for (size_t expert = 0; expert < load.size(); ++expert) experts[node_of[expert / size]].push_back(static_cast<int>(expert));
  return experts;
}

}  // namespace

std::vector<int> ExpertPlacement::Replicas(int experts) const {
  std::vector<int> replicas(static_cast<size_t>(experts));
  for (const int expert : expert_of) ++replicas[static_cast<size_t>(expert)];
  return replicas;
}

ExpertPlacement LinearPlacement(int experts, int ranks) {
  CHECK(ranks >= 1 && experts % ranks == 0);
  ExpertPlacement placement{ranks, std::vector<int>(static_cast<size_t>(experts))};
  std::iota(placement.expert_of.begin(), placement.expert_of.end(), 0);
  return placement;
}

ExpertPlacement RoundRobinPlacement(int experts, int ranks) {
  CHECK(ranks >= 1 && experts % ranks == 0);
  ExpertPlacement placement{ranks, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    for (int expert = rank; expert < experts; expert += ranks) placement.expert_of.push_back(expert);
  }
  return placement;
}

Status CheckShape(const PlacementShape& shape, int experts) {
  if (shape.ranks < 1 || shape.nodes < 1 || shape.groups < 1) return BadInput("ranks, nodes and groups are 1 or more");
  if (shape.places < experts) return BadInput(fmt::format("{} places cannot hold {} experts", shape.places, experts));
  if (shape.places % shape.ranks != 0) {
    return BadInput(fmt::format("{} experts and {} redundant ones cannot be spread evenly over {} ranks; use a multiple of {}",
                                experts, shape.places - experts, shape.ranks, shape.ranks));
  }
  if (shape.ranks % shape.nodes != 0)
    return BadInput(fmt::format("{} ranks cannot be spread evenly over {} nodes", shape.ranks, shape.nodes));
  if (experts % shape.groups != 0)
    return BadInput(fmt::format("{} experts cannot be cut into {} equal groups", experts, shape.groups));
  return {};
}

ExpertPlacement BalanceExperts(std::span<const double> load, const PlacementShape& shape) {
  const bool hierarchical = shape.groups % shape.nodes == 0;
  const auto nodes = static_cast<size_t>(hierarchical ? shape.nodes : 1);
  const auto groups = static_cast<size_t>(hierarchical ? shape.groups : 1);
  ExpertPlacement placement{shape.ranks, {}};
  for (const std::vector<int>& experts : ExpertsOfNodes(load, groups, nodes)) {
    const std::vector<int> held = Replicate(experts, load, static_cast<size_t>(shape.places) / nodes);
    std::vector<int> replicas(load.size());
    for (const int expert : held) ++replicas[static_cast<size_t>(expert)];
    std::vector<double> weights;
    for (const int expert : held) weights.push_back(load[static_cast<size_t>(expert)] / replicas[static_cast<size_t>(expert)]);
    NodeRanks ranks(held, weights, static_cast<size_t>(shape.ranks) / nodes);
    ranks.Refine();
    placement.expert_of.insert(placement.expert_of.end(), ranks.experts().begin(), ranks.experts().end());
  }
  return placement;
}

}  // namespace moecap::routing
