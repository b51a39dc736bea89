#include "metrics/device_memory.h"

#include <algorithm>
#include <cmath>

namespace moecap::metrics {
namespace {

using model::AttentionKind;
using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;
using model::WeightSet;

constexpr double kGib = 1024.0 * 1024 * 1024;

double Count(int64_t value) { return static_cast<double>(value); }

// Bytes of the projections that only as many ranks share as there are KV heads (GQA), or that every rank keeps (MLA's latent).
double NarrowBytes(const ModelSpec& model, const LayerSpec& layer) {
  const model::AttentionSpec& attention = layer.attention;
  const model::Weights& weights = layer.weights[TensorClass::kAttention];
  double columns = 0;
  if (attention.kind == AttentionKind::kGqa) columns = Count(attention.kv_heads) * (attention.key_dim + attention.value_dim);
  if (attention.kind == AttentionKind::kMla && !attention.caches.empty()) columns = Count(attention.caches.front().elements);
  const double params = std::min(columns * Count(model.hidden), Count(weights.matrix_params));
  return params * weights.BitsPerWeight() / 8;
}

class Rank {
 public:
  Rank(const ModelSpec& model, const Deployment& deployment, const MemoryDemand& demand)
      : model_(model), deployment_(deployment), tensor_(deployment.tensor) {
    sequences_ = std::ceil(Count(demand.sequences) / deployment.data);
    context_tokens_ = demand.context_tokens;
  }

  void AddLayer(const LayerSpec& layer, DeviceMemory& memory) const {
    AddWeights(layer.weights, layer.ffn.experts, memory);
    const double narrow = NarrowBytes(model_, layer);
    const double holders =
        layer.attention.kind == AttentionKind::kMla ? 1 : std::min(tensor_, std::max(1.0, Count(layer.attention.kv_heads)));
    if (holders < tensor_) {
      memory.sharded_weights -= narrow / tensor_;
      memory.replicated_weights += narrow / holders;
    }
    for (size_t i = 0; i < layer.attention.caches.size(); ++i) {
      const model::KvCacheSpec& cache = layer.attention.caches[i];
      const double whole = sequences_ * cache.Resident(context_tokens_) * cache.EntryBytes(model_.kv_bits);
      const double own = whole * Replication{1, deployment_.tensor}.OfCache(layer.attention, i) / tensor_;
      memory.kv_cache += own;
      memory.replicated_kv_cache += own - whole / tensor_;
    }
    const int64_t state = layer.attention.state_elements + layer.attention.conv_state_elements;
    memory.kv_cache += sequences_ * Count(state) * model_.state_bits / 8 / tensor_;
  }

  void AddWeights(const WeightSet& weights, int experts, DeviceMemory& memory) const {
    for (const TensorClass c : model::kTensorClasses) {
      const double bytes = weights[c].bytes;
      if (c == TensorClass::kRoutedExpert) {
        memory.routed_experts += bytes * ExpertShare(experts);
      } else if (Replication{1, deployment_.tensor}.OfWeights(c) > 1) {
        memory.replicated_weights += bytes;
      } else {
        memory.sharded_weights += bytes / tensor_;
      }
    }
  }

  double sequences() const { return sequences_; }

 private:
  // The fullest rank's share of a layer's routed experts: whole experts of `expert` ranks, each cut by the tensor ranks left.
  double ExpertShare(int experts) const {
    const double ranks = std::max(deployment_.expert, deployment_.tensor);
    if (experts <= 0 || deployment_.expert == 1) return 1 / ranks;
    const double own = std::ceil(Count(experts) / deployment_.expert) / experts;
    return own * deployment_.expert / ranks;
  }

  const ModelSpec& model_;
  const Deployment& deployment_;
  double tensor_;
  double sequences_ = 1;
  int64_t context_tokens_ = 0;
};

// From the residual stream alone, in and out, to everything live around attention and FFN of the widest layer, twice.
Range Activations(const ModelSpec& model, const Deployment& deployment, const MemoryDemand& demand, double sequences,
                  bool last_stage) {
  const double tokens = Count(std::max<int64_t>(demand.pass_tokens, static_cast<int64_t>(sequences)));
  double widest = 0;
  for (const LayerSpec& layer : model.layers) {
    const model::AttentionSpec& attention = layer.attention;
    const double heads =
        Count(attention.query_heads) * attention.key_dim + 2.0 * attention.kv_heads * std::max(attention.key_dim, 1);
    const double ffn = 2 * Count(layer.ffn.dense_width + layer.ffn.shared_width) / deployment.tensor +
                       layer.ffn.ActiveExperts() * (2 * Count(layer.ffn.expert_width) + Count(model.hidden)) /
                           std::max(deployment.expert, deployment.tensor);
    widest = std::max(widest, heads / deployment.tensor + ffn);
  }
  const double logits = last_stage ? sequences * Count(model.vocab) / deployment.tensor * 4 : 0;
  const double stream = tokens * Count(model.hidden) * 2;
  return {2 * stream + logits, 2 * (4 * stream + tokens * widest * 2) + 2 * logits};
}

void NameReplicated(const ModelSpec& model, const Deployment& deployment, DeviceMemory& memory) {
  if (deployment.tensor == 1) return;
  memory.replicated.emplace_back("norms, router and other small weights");
  const auto any = [&](auto has) { return std::any_of(model.layers.begin(), model.layers.end(), has); };
  const bool few_heads = any([&](const LayerSpec& layer) {
    return layer.attention.kind == AttentionKind::kGqa && layer.attention.kv_heads < deployment.tensor;
  });
  if (few_heads) memory.replicated.emplace_back("KV heads and their projections: there are fewer heads than ranks");
  if (any([](const LayerSpec& layer) { return layer.attention.kind == AttentionKind::kMla; }))
    memory.replicated.emplace_back("MLA latents, their down-projection, compressed entries and indexer keys");
  if (!model.towers.empty()) memory.replicated.emplace_back("vision and audio towers");
}

}  // namespace

DeviceMemory MemoryOfDevice(const ModelSpec& model, const Deployment& deployment, const MemoryDemand& demand) {
  const Rank rank(model, deployment, demand);
  const size_t layers = model.layers.size();
  const auto stages = static_cast<size_t>(deployment.pipeline);
  DeviceMemory most;
  for (size_t stage = 0; stage < stages; ++stage) {
    DeviceMemory memory;
    memory.stage = static_cast<int>(stage);
    for (size_t i = layers * stage / stages; i < layers * (stage + 1) / stages; ++i) rank.AddLayer(model.layers[i], memory);
    const bool first = stage == 0, last = stage + 1 == stages;
    WeightSet ends = model.ends;
    if (!first) ends[TensorClass::kEmbedding] = model.tied_embedding && last ? ends[TensorClass::kEmbedding] : model::Weights();
    if (!last) ends[TensorClass::kHead] = ends[TensorClass::kNorm] = model::Weights();
    rank.AddWeights(ends, 0, memory);
    if (last) rank.AddWeights(model.mtp, model.Experts(), memory);
    for (const model::TowerSpec& tower : model.towers) memory.replicated_weights += first ? tower.bytes : 0;
    memory.activations = Activations(model, deployment, demand, rank.sequences(), last);
    memory.workspace = {0.75 * kGib, 3 * kGib};
    if (stage == 0 || memory.Total().high > most.Total().high) most = memory;
  }
  NameReplicated(model, deployment, most);
  return most;
}

}  // namespace moecap::metrics
