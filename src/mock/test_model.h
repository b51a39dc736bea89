// Small shapes for tests, chosen so that every figure can be computed by hand.
#pragma once

#include "model/model_spec.h"

namespace moecap::mock {

// F16 matrix.
inline model::Weights HalfMatrix(int64_t params) {
  return {params, 2.0 * static_cast<double>(params), params, 2.0 * static_cast<double>(params)};
}

// Two layers, vocabulary 100: attention 400; layer 0 has 8 experts of 60 (480 in all), top-2; layer 1 a dense FFN of 90. The
// head has 1000, the embedding 1000 (10 a row). KV: 16 elements a layer and token, F16, 64 FLOPs a query-key pair.
inline model::ModelSpec SmallMoe() {
  using model::TensorClass;
  model::ModelSpec spec;
  spec.id = "small-moe";
  spec.vocab = 100;
  spec.hidden = 10;
  spec.ends[TensorClass::kEmbedding] = HalfMatrix(1000);
  spec.ends[TensorClass::kHead] = HalfMatrix(1000);
  for (int i = 0; i < 2; ++i) {
    model::LayerSpec layer;
    layer.weights[TensorClass::kAttention] = HalfMatrix(400);
    layer.attention.kind = model::AttentionKind::kGqa;
    model::KvCacheSpec cache;
    cache.elements = 16;
    cache.flops_per_entry = 64;
    layer.attention.caches.push_back(cache);
    if (i == 0) {
      layer.ffn.experts = 8;
      layer.ffn.top_k = 2;
      layer.weights[TensorClass::kRoutedExpert] = HalfMatrix(480);
    } else {
      layer.weights[TensorClass::kDenseFfn] = HalfMatrix(90);
    }
    spec.layers.push_back(layer);
  }
  return spec;
}

}  // namespace moecap::mock
