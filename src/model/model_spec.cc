#include "model/model_spec.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace moecap::model {

std::string_view TensorClassName(TensorClass value) {
  static constexpr std::array<std::string_view, kTensorClassCount> kNames = {
      "embedding", "attention", "router", "routed_expert", "shared_expert", "dense_ffn", "norm", "head", "other"};
  return kNames[static_cast<size_t>(value)];
}

std::string_view AttentionKindName(AttentionKind value) {
  static constexpr std::array<std::string_view, 6> kNames = {"none", "gqa", "mla", "linear", "mamba", "short_conv"};
  return kNames[static_cast<size_t>(value)];
}

Weights& Weights::operator+=(const Weights& other) {
  params += other.params;
  bytes += other.bytes;
  matrix_params += other.matrix_params;
  matrix_bytes += other.matrix_bytes;
  return *this;
}

WeightSet& WeightSet::operator+=(const WeightSet& other) {
  for (size_t i = 0; i < by_class.size(); ++i) by_class[i] += other.by_class[i];
  return *this;
}

int64_t WeightSet::Params() const {
  int64_t sum = 0;
  for (const Weights& weights : by_class) sum += weights.params;
  return sum;
}

double WeightSet::Bytes() const {
  double sum = 0;
  for (const Weights& weights : by_class) sum += weights.bytes;
  return sum;
}

double FfnSpec::ActiveExperts() const {
  if (zero_experts == 0) return top_k;
  return static_cast<double>(top_k) * experts / (experts + zero_experts);
}

WeightSet ModelSpec::ByClass() const {
  WeightSet sum = ends;
  for (const LayerSpec& layer : layers) sum += layer.weights;
  return sum;
}

int64_t ModelSpec::TotalParams() const { return ByClass().Params(); }

double ModelSpec::WeightBytes() const { return ByClass().Bytes(); }

double ModelSpec::ResidentBytes(bool with_mtp) const {
  double sum = WeightBytes() + (with_mtp ? mtp.Bytes() + mtp_copy_bytes : 0);
  for (const TowerSpec& tower : towers) sum += tower.bytes;
  return sum;
}

int64_t ModelSpec::ActiveParams() const {
  double idle = 0;
  for (const LayerSpec& layer : layers) {
    if (!layer.ffn.moe()) continue;
    const auto routed = static_cast<double>(layer.weights[TensorClass::kRoutedExpert].params);
    idle += routed * (1 - layer.ffn.ActiveExperts() / layer.ffn.experts);
  }
  return TotalParams() - static_cast<int64_t>(std::llround(idle));
}

int64_t ModelSpec::ActiveParamsNoInputEmbedding() const {
  return ActiveParams() - (tied_embedding ? 0 : ends[TensorClass::kEmbedding].params);
}

int64_t ModelSpec::ActiveParamsNoEmbeddings() const {
  return ActiveParams() - ends[TensorClass::kEmbedding].params - ends[TensorClass::kHead].matrix_params;
}

const Weights& ModelSpec::Head() const { return ends[tied_embedding ? TensorClass::kEmbedding : TensorClass::kHead]; }

int ModelSpec::MoeLayers() const {
  return static_cast<int>(std::count_if(layers.begin(), layers.end(), [](const LayerSpec& layer) { return layer.ffn.moe(); }));
}

int ModelSpec::Experts() const {
  const auto first = std::find_if(layers.begin(), layers.end(), [](const LayerSpec& layer) { return layer.ffn.moe(); });
  return first == layers.end() ? 0 : first->ffn.experts;
}

int ModelSpec::TopK() const {
  const auto first = std::find_if(layers.begin(), layers.end(), [](const LayerSpec& layer) { return layer.ffn.moe(); });
  return first == layers.end() ? 0 : first->ffn.top_k;
}

double ModelSpec::KvElementsPerToken() const {
  double sum = 0;
  for (const LayerSpec& layer : layers) {
    for (const KvCacheSpec& cache : layer.attention.caches) {
      if (cache.window > 0 || cache.borrowed) continue;
      sum += static_cast<double>(cache.elements) / static_cast<double>(cache.tokens_per_entry);
    }
  }
  return sum;
}

int64_t ModelSpec::StateElementsPerSequence() const {
  int64_t sum = 0;
  for (const LayerSpec& layer : layers) sum += layer.attention.state_elements + layer.attention.conv_state_elements;
  return sum;
}

double ModelSpec::ResidentKvBytes(int64_t tokens) const {
  double bytes = 0;
  for (const LayerSpec& layer : layers) {
    for (const KvCacheSpec& cache : layer.attention.caches) bytes += cache.Resident(tokens) * cache.EntryBytes(kv_bits);
  }
  return bytes + static_cast<double>(StateElementsPerSequence()) * state_bits / 8;
}

void SetWeightPrecision(ModelSpec& spec, TensorClass c, std::string_view type, double bits_per_weight) {
  CHECK(bits_per_weight > 0);
  const auto store = [bits_per_weight](Weights& weights) {
    weights.bytes = static_cast<double>(weights.params) * bits_per_weight / 8;
    weights.matrix_bytes = static_cast<double>(weights.matrix_params) * bits_per_weight / 8;
  };
  store(spec.ends[c]);
  store(spec.mtp[c]);
  for (LayerSpec& layer : spec.layers) store(layer.weights[c]);
  if (spec.ByClass()[c].params > 0) spec.type_by_class[static_cast<size_t>(c)] = type;
  const bool sets_label = spec.Experts() > 0 ? c == TensorClass::kRoutedExpert : c == TensorClass::kDenseFfn;
  if (sets_label) spec.weight_type = type;
}

}  // namespace moecap::model
