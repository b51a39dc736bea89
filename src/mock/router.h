// A router that nobody trained: per MoE layer, experts of seeded, uneven popularity; each token draws its own.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model_spec.h"
#include "routing/estimate.h"

namespace moecap::mock {

// What the router sees of a token. Equal tokens at equal positions choose alike, so that equal prompts and cached prefixes have
// equal routes.
struct RoutedToken {
  int32_t id = 0;
  int64_t position = 0;
};

class SampledRouter {
 public:
  // Popularity weights are gamma distributed with the coefficient of variation `cv` >= 0 (0: all alike). A token draws top-k
  // distinct entries one after the other in proportion to them; zero experts of the model are entries like others.
  SampledRouter(const model::ModelSpec& model, uint64_t seed, double cv = routing::kDefaultPopularityCv);

  int layers() const { return static_cast<int>(layers_.size()); }  // MoE layers
  int top_k(int layer) const { return layers_[static_cast<size_t>(layer)].top_k; }
  // Share of each entry in single draws, summing to 1; zero experts come last.
  const std::vector<double>& popularity(int layer) const { return layers_[static_cast<size_t>(layer)].share; }

  // The experts of one token in MoE layer `layer`, in the order drawn, distinct; ids >= experts are zero experts.
  void Experts(int layer, const RoutedToken& token, std::vector<int32_t>& out) const;

  // Distinct routed experts of a pass over `tokens`, per MoE layer: the size of the union of their choices.
  std::vector<double> DistinctExperts(std::span<const RoutedToken> tokens) const;

 private:
  struct Layer {
    int experts = 0;  // without zero experts
    int top_k = 0;
    std::vector<double> share;
    std::vector<double> keep;    // Walker's alias method
    std::vector<int32_t> alias;  // of the same length
  };

  uint64_t seed_;
  std::vector<Layer> layers_;
};

}  // namespace moecap::mock
