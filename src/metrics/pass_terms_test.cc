#include "metrics/pass_terms.h"

#include <gtest/gtest.h>

#include "metrics/pass_cost.h"
#include "metrics/testing/decode_pass.h"

namespace moecap::metrics {
namespace {

using model::TensorClass;
using model::Weights;

Weights Half(int64_t matrix) { return {matrix, 2.0 * static_cast<double>(matrix), matrix, 2.0 * static_cast<double>(matrix)}; }

// A dense layer and two of 4 experts, top-1; hidden 10, vocabulary 100, 16 elements of KV a layer and token; F16.
model::ModelSpec ThreeLayers() {
  model::ModelSpec spec;
  spec.vocab = 100;
  spec.hidden = 10;
  spec.ends[TensorClass::kEmbedding] = Half(1000);
  spec.ends[TensorClass::kHead] = Half(1000);
  for (int i = 0; i < 3; ++i) {
    model::LayerSpec layer;
    layer.weights[TensorClass::kAttention] = Half(400);
    model::KvCacheSpec cache;
    cache.elements = 16;
    layer.attention.caches.push_back(cache);
    if (i > 0) {
      layer.ffn.experts = 4;
      layer.ffn.top_k = 1;
      layer.weights[TensorClass::kRoutedExpert] = Half(240);
    } else {
      layer.weights[TensorClass::kDenseFfn] = Half(90);
    }
    spec.layers.push_back(layer);
  }
  return spec;
}

TEST(PassTerms, ByHandAndInSumTheCompleteConvention) {
  const model::ModelSpec model = ThreeLayers();
  const record::PassRecord pass = DecodePass(9, 2, {2, 1});
  const auto terms = TermsOf(model, pass);
  ASSERT_TRUE(terms.has_value());
  EXPECT_EQ(terms->layer_weights, 2.0 * (3 * 400 + 90));
  EXPECT_EQ(terms->routed_experts, 2.0 * (2 + 1) * 60);
  EXPECT_EQ(terms->ends, 2.0 * (1000 + 2 * 10));
  EXPECT_EQ(terms->kv_read, 2.0 * 3 * 2 * 9 * 16);
  EXPECT_EQ(terms->kv_written, 2.0 * 3 * 2 * 16);
  EXPECT_EQ(terms->Sum(), PassBytes(model, pass, Convention::kComplete));
  EXPECT_FALSE(TermsOf(model, DecodePass(9, 2, {})).has_value()) << "nobody told the experts";
}

TEST(PassTerms, ExpertsOfTheFirstLayers) {
  const model::ModelSpec model = ThreeLayers();
  const record::PassRecord pass = DecodePass(9, 2, {2, 1});
  EXPECT_EQ(RoutedBytesOfFirst(model, pass, 0), 0);
  EXPECT_EQ(RoutedBytesOfFirst(model, pass, 1), 0) << "the first layer is dense";
  EXPECT_EQ(RoutedBytesOfFirst(model, pass, 2), 2.0 * 2 * 60);
  EXPECT_EQ(RoutedBytesOfFirst(model, pass, -1), 2.0 * 3 * 60);
  EXPECT_EQ(RoutedBytesOfFirst(model, pass, 99), 2.0 * 3 * 60);
  EXPECT_EQ(ResidentRoutedBytesOfFirst(model, 2), 480);
  EXPECT_EQ(ResidentRoutedBytesOfFirst(model, -1), 960);
}

}  // namespace
}  // namespace moecap::metrics
