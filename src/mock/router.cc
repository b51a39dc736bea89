#include "mock/router.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/rng.h"
#include "mock/sampling.h"

namespace moecap::mock {
namespace {

// Walker's alias table of `share` (Vose's construction).
void BuildAlias(const std::vector<double>& share, std::vector<double>& keep, std::vector<int32_t>& alias) {
  const size_t n = share.size();
  keep.assign(n, 1);
  alias.resize(n);
  std::iota(alias.begin(), alias.end(), 0);
  std::vector<double> scaled(n);
  std::vector<size_t> small, large;
  for (size_t i = 0; i < n; ++i) {
    scaled[i] = share[i] * static_cast<double>(n);
    (scaled[i] < 1 ? small : large).push_back(i);
  }
  while (!small.empty() && !large.empty()) {
    const size_t low = small.back();
    const size_t high = large.back();
    small.pop_back();
    keep[low] = scaled[low];
    alias[low] = static_cast<int32_t>(high);
    scaled[high] -= 1 - scaled[low];
    if (scaled[high] >= 1) continue;
    large.pop_back();
    small.push_back(high);
  }
}

}  // namespace

SampledRouter::SampledRouter(const model::ModelSpec& model, uint64_t seed, double cv) : seed_(seed) {
  CHECK(cv >= 0);
  for (const model::LayerSpec& spec : model.layers) {
    if (!spec.ffn.moe()) continue;
    Layer layer;
    layer.experts = spec.ffn.experts;
    layer.top_k = spec.ffn.top_k;
    Rng rng(Mix(Mix(seed, 0x726f75746572), layers_.size()));
    const auto entries = static_cast<size_t>(spec.ffn.experts + spec.ffn.zero_experts);
    for (size_t i = 0; i < entries; ++i) layer.share.push_back(cv < 1e-6 ? 1 : DrawGamma(rng, 1 / (cv * cv)));
    const double sum = std::accumulate(layer.share.begin(), layer.share.end(), 0.0);
    for (double& share : layer.share) share /= sum;
    BuildAlias(layer.share, layer.keep, layer.alias);
    layers_.push_back(std::move(layer));
  }
}

void SampledRouter::Experts(int index, const RoutedToken& token, std::vector<int32_t>& out) const {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  const auto entries = static_cast<int>(layer.share.size());
  const auto wanted = static_cast<size_t>(std::min(layer.top_k, entries));
  Rng rng(Mix(Mix(Mix(seed_, static_cast<uint64_t>(index)), static_cast<uint64_t>(token.id)),
              static_cast<uint64_t>(token.position)));
  out.clear();
  // Extreme skew could repeat the popular experts for ever.
  for (int attempts = 0; out.size() < wanted && attempts < 64 * layer.top_k; ++attempts) {
    const double place = rng.Uniform() * entries;
    const auto slot = std::min(static_cast<size_t>(place), layer.share.size() - 1);
    const int32_t expert =
        place - static_cast<double>(slot) < layer.keep[slot] ? static_cast<int32_t>(slot) : layer.alias[slot];
    if (std::find(out.begin(), out.end(), expert) == out.end()) out.push_back(expert);
  }
  for (int32_t expert = 0; out.size() < wanted; ++expert) {
    if (std::find(out.begin(), out.end(), expert) == out.end()) out.push_back(expert);
  }
}

std::vector<double> SampledRouter::DistinctExperts(std::span<const RoutedToken> tokens) const {
  std::vector<double> distinct;
  std::vector<int32_t> chosen;
  std::vector<char> seen;
  for (int index = 0; index < layers(); ++index) {
    const Layer& layer = layers_[static_cast<size_t>(index)];
    seen.assign(static_cast<size_t>(layer.experts), 0);
    int count = 0;
    for (const RoutedToken& token : tokens) {
      if (count == layer.experts) break;
      Experts(index, token, chosen);
      for (const int32_t expert : chosen) {
        if (expert >= layer.experts || seen[static_cast<size_t>(expert)] != 0) continue;
        seen[static_cast<size_t>(expert)] = 1;
        ++count;
      }
    }
    distinct.push_back(count);
  }
  return distinct;
}

}  // namespace moecap::mock
