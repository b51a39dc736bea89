#include "metrics/pass_terms.h"

#include <algorithm>
#include <numeric>

#include "metrics/pass_cost.h"

namespace moecap::metrics {
namespace {

using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;

size_t LayersOf(const ModelSpec& model, int layers) {
  return layers < 0 ? model.layers.size() : std::min(model.layers.size(), static_cast<size_t>(layers));
}

double KvWritten(const ModelSpec& model, const record::PassRecord& pass) {
  double bytes = 0, state_elements = 0;
  for (const LayerSpec& layer : model.layers) {
    if (layer.encoder && pass.kind == record::PassKind::kDecode) continue;
    for (const record::SequenceSlice& slice : pass.sequences) {
      const auto sequences = static_cast<double>(slice.count);
      for (const model::KvCacheSpec& cache : layer.attention.caches)
        bytes += sequences * cache.EntryBytes(model.kv_bits) * cache.Written(slice.context_tokens, slice.new_tokens);
      state_elements += sequences * static_cast<double>(layer.attention.state_elements + layer.attention.conv_state_elements);
    }
  }
  return bytes + state_elements * model.state_bits / 8;
}

double EndBytes(const ModelSpec& model, const record::PassRecord& pass) {
  double bytes = model.Head().bytes + model.ends[TensorClass::kNorm].bytes + model.ends[TensorClass::kOther].bytes;
  if (model.vocab > 0) {
    bytes +=
        static_cast<double>(pass.NewTokens()) * model.ends[TensorClass::kEmbedding].bytes / static_cast<double>(model.vocab);
  }
  return bytes;
}

}  // namespace

std::optional<PassTerms> TermsOf(const ModelSpec& model, const record::PassRecord& pass) {
  const auto whole = PassBytes(model, pass, Convention::kComplete);
  const auto routed = PassRoutedBytes(model, pass, Convention::kComplete);
  if (!whole || !routed) return std::nullopt;
  const double kv = PassKvBytes(model, pass, Convention::kComplete);
  PassTerms terms;
  terms.routed_experts = std::accumulate(routed->begin(), routed->end(), 0.0);
  terms.ends = EndBytes(model, pass);
  terms.kv_written = KvWritten(model, pass);
  terms.kv_read = kv - terms.kv_written;
  terms.layer_weights = *whole - kv - terms.routed_experts - terms.ends;
  return terms;
}

std::optional<double> RoutedBytesOfFirst(const ModelSpec& model, const record::PassRecord& pass, int layers) {
  const auto routed = PassRoutedBytes(model, pass, Convention::kComplete);
  if (!routed) return std::nullopt;
  const size_t count = LayersOf(model, layers);
  double bytes = 0;
  size_t moe_layer = 0;
  for (size_t i = 0; i < count; ++i) {
    if (model.layers[i].ffn.moe()) bytes += (*routed)[moe_layer++];
  }
  return bytes;
}

double ResidentRoutedBytesOfFirst(const ModelSpec& model, int layers) {
  double bytes = 0;
  for (size_t i = 0; i < LayersOf(model, layers); ++i) bytes += model.layers[i].weights[TensorClass::kRoutedExpert].bytes;
  return bytes;
}

}  // namespace moecap::metrics
