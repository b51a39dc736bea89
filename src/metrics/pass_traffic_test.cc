#include "metrics/pass_traffic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"
#include "metrics/counted_passes.h"
#include "metrics/testing/decode_pass.h"

namespace moecap::metrics {
namespace {
namespace fs = std::filesystem;

using model::TensorClass;
using model::Weights;

Weights TwoByteWeights(int64_t matrix) {
  return {matrix, 2.0 * static_cast<double>(matrix), matrix, 2.0 * static_cast<double>(matrix)};
}

// One layer: hidden 8, 2 query heads and 1 KV head of 4, 4 experts of width 3, top-1, vocabulary 10; F16.
model::ModelSpec OneLayer() {
  model::ModelSpec spec;
  spec.vocab = 10;
  spec.hidden = 8;
  model::LayerSpec layer;
  layer.attention.query_heads = 2;
  layer.attention.kv_heads = 1;
  layer.attention.key_dim = layer.attention.value_dim = 4;
  model::KvCacheSpec cache;
  cache.elements = 8;
  layer.attention.caches.push_back(cache);
  layer.ffn.experts = 4;
  layer.ffn.top_k = 1;
  layer.ffn.expert_width = 3;
  layer.weights[TensorClass::kRoutedExpert] = TwoByteWeights(4 * 72);
  spec.layers.push_back(layer);
  return spec;
}

TEST(PassTraffic, ByHand) {
  model::ModelSpec model = OneLayer();
  const auto traffic = TrafficOf(model, DecodePass(300, 2, {2}));
  ASSERT_TRUE(traffic.has_value());
  EXPECT_EQ(traffic->kv_padding, 2 * 16 * (512 - 300)) << "two groups of 256 cells";
  EXPECT_EQ(traffic->kv_outside_windows, 0);
  EXPECT_EQ(traffic->expert_rereads, 0);
  // Queries 8, keys and values 8, output 8; attended 8; gate and up 3 each, down 8, router 4, gated 3; five results of hidden.
  EXPECT_EQ(traffic->activations_written, 4 * 2 * (8 + 8 + 8 + 8 + 14 + 4 + 3 + 5 * 8));
  EXPECT_EQ(traffic->activations_read, 4 * 2 * 14);
  EXPECT_EQ(traffic->attention_partials, 0) << "grouped queries are combined on the chip";
  EXPECT_EQ(traffic->logits, 4 * 2 * 10);
  EXPECT_EQ(traffic->Sum(), traffic->formula.Sum() + traffic->Added());
  model.layers[0].attention.caches[0].window = 100;
  EXPECT_EQ(TrafficOf(model, DecodePass(300, 2, {2}))->kv_outside_windows, 2 * 16 * (300 - 99));
}

KernelTraits WithCache(double bytes) {
  KernelTraits kernels;
  kernels.cache_bytes = bytes;
  return kernels;
}

TEST(PassTraffic, ExpertsOfManyTokensAreReadOnceATile) {
  const model::ModelSpec model = OneLayer();
  const KernelTraits kernels = WithCache(100);
  record::PassRecord pass = DecodePass(1, 40, {3});
  pass.expert_counts = {{16, 17, 7, 0}};
  EXPECT_EQ(TrafficOf(model, pass, kernels)->expert_rereads, 144) << "17 tokens are two tiles";
  EXPECT_EQ(TrafficOf(model, pass, WithCache(3 * 48))->expert_rereads, 0) << "one matrix of the three experts fits";
  pass.expert_counts.clear();
  pass.distinct_experts = {4};
  // Ten tokens an expert in the mean, of a binomial distribution: more than 16 in 0.95 % of the cases.
  EXPECT_NEAR(TrafficOf(model, pass, kernels)->expert_rereads, 4 * 144 * 0.0116, 144 * 0.02);
}

TEST(PassTraffic, QuantisedExpertsOfFewTokensAreReadSlotBySlot) {
  model::ModelSpec model = OneLayer();
  model.layers[0].weights[TensorClass::kRoutedExpert].bytes = 4 * 72 / 2.0;  // a matrix of an expert is 12 bytes
  EXPECT_EQ(TrafficOf(model, DecodePass(1, 4, {3}), WithCache(1))->quantised_rereads, 0)
      << "one slot reads all tokens together";
  model.layers[0].ffn.top_k = 3;
  // Four tokens choose 4 (1 - (3/4)^4) = 2.73 experts in a slot: 65.6 bytes of gate and up, 32.8 of down. Two tokens' slots are
  // one apart in 4 of 9 cases and two apart in 2.
  const auto rereads = [&](double cache) {
    return TrafficOf(model, DecodePass(1, 4, {3}), WithCache(cache))->quantised_rereads / (4 * 3 - 3);
  };
  EXPECT_NEAR(rereads(1), 24 * 6 / 9.0 + 12 * 6 / 9.0, 1e-9);
  EXPECT_NEAR(rereads(65), 24 * 6 / 9.0 + 12 * 2 / 9.0, 1e-9);
  EXPECT_NEAR(rereads(66), 24 * 2 / 9.0, 1e-9);
  EXPECT_EQ(rereads(132), 0);
  EXPECT_EQ(TrafficOf(model, DecodePass(1, 16, {3}), WithCache(1))->quantised_rereads, 0) << "a tile holds all tokens";
}

// Chance of the slots by drawing them, and of what lies between by counting.
TEST(PassTraffic, SlotsAreDrawnEvenly) {
  model::ModelSpec model = OneLayer();
  model.layers[0].weights[TensorClass::kRoutedExpert].bytes = 4 * 72 / 2.0;
  model.layers[0].ffn.top_k = 4;
  const double of_slot = 4 * (1 - std::pow(0.75, 2.0));
  const double cache = 1.5 * of_slot * 24;
  Rng rng(5);
  constexpr int kDraws = 200'000;
  double bytes = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const double apart = std::abs(static_cast<double>(rng.Below(4)) - static_cast<double>(rng.Below(4)));
    for (const double kernel : {24.0, 12.0}) bytes += apart > 0 && apart * of_slot * kernel > cache ? kernel : 0;
  }
  const auto traffic = TrafficOf(model, DecodePass(1, 2, {7}), WithCache(cache));
  EXPECT_NEAR(traffic->quantised_rereads / (2 * 4 - 7), bytes / kDraws, 0.1);
}

TEST(PassTraffic, RowsThatAreNoWholeStepsAreReadBeyondTheirEnds) {
  model::ModelSpec model = OneLayer();
  model.hidden = 2880;  // 12 steps of 256, the last of 64
  model.ends[TensorClass::kHead] = {1000 * 2880, 1000 * 3060, 1000 * 2880, 1000 * 3060};
  // 192 weights too many are 204 bytes, in 32-byte sectors from anywhere.
  EXPECT_NEAR(TrafficOf(model, DecodePass(1, 9, {3}))->row_overread, 1000 * (204 + 30), 1e-6);
  EXPECT_EQ(TrafficOf(model, DecodePass(1, 8, {3}))->row_overread, 0) << "vectors read rows to their ends";
  EXPECT_EQ(TrafficOf(model, DecodePass(1, 9, {3}), WithCache(132 * 128 * 3060.0))->row_overread, 0) << "it is still there";
  model.hidden = 2816;
  EXPECT_EQ(TrafficOf(model, DecodePass(1, 9, {3}))->row_overread, 0) << "11 whole steps";
}

TEST(PassTraffic, LatentAttentionWritesPartialResults) {
  model::ModelSpec model = OneLayer();
  model.layers[0].attention.query_heads = 16;
  model::KvCacheSpec& cache = model.layers[0].attention.caches[0];
  cache.elements = 576;
  cache.absorbed_flops_per_entry = 2 * 16 * (2 * 512 + 64);
  const auto partials = [&](int64_t context, int64_t sequences) {
    return TrafficOf(model, DecodePass(context, sequences, {1}))->attention_partials / (4 * 16 * 512);
  };
  EXPECT_EQ(partials(64, 1), 8) << "256 cells are 8 blocks of 32";
  EXPECT_EQ(partials(4096, 1), 136);
  EXPECT_EQ(partials(4096, 16), 528) << "33 each of the 528 that run at once";
  EXPECT_EQ(partials(4096, 64), 512) << "8 each, as 3 % are lost by it";
  EXPECT_EQ(partials(4096, 100), 528) << "5 each would lose 5.3 %";
  EXPECT_EQ(partials(4096, 528), 0) << "no tile is divided";
}

TEST(PassTraffic, IsOfDecodePassesWhoseExpertsAreKnown) {
  EXPECT_FALSE(TrafficOf(OneLayer(), DecodePass(1, 2, {})).has_value());
  record::PassRecord prompt = DecodePass(0, 1, {2});
  prompt.kind = record::PassKind::kPrefill;
  EXPECT_FALSE(TrafficOf(OneLayer(), prompt).has_value());
}

// ---- What a GPU's counters saw

Json ReadJson(const fs::path& path) { return *ParseJson(*ReadFile(path)); }

fs::path CountersOf(const std::string& shape) {
  return fs::path(MOECAP_SOURCE_DIR) / "results/reference/h200-counters" / (shape + ".json");
}

CountedShape Counted(const std::string& shape) {
  const fs::path config = fs::path(MOECAP_SOURCE_DIR) / "tools/gpu/shapes" / shape / "config.json";
  return *ParseCountedShape(*ReadFile(CountersOf(shape)), *ReadFile(config));
}

class Counters : public testing::TestWithParam<const char*> {};

TEST_P(Counters, AgreeWithTheNamedTerms) {
  const CountedShape shape = Counted(GetParam());
  for (const CountedPass& counted : shape.passes) {
    const auto traffic = TrafficOf(shape.model, counted.pass);
    ASSERT_TRUE(traffic.has_value());
    const int64_t batch = counted.pass.SequenceCount();
    EXPECT_NEAR(traffic->formula.Sum() / counted.formula_bytes, 1, 0.005) << "config.json and file are of one shape";
    const double modelled = counted.formula_bytes + traffic->Added();
    EXPECT_NEAR(counted.counted_bytes / modelled, 1, batch <= 16 ? 0.03 : 0.06) << GetParam() << ", batch " << batch;
  }
}

// The same kernel by kernel, of other files: two layers, whose head is a large part.
TEST_P(Counters, AgreeKernelByKernel) {
  CountedShape shape = Counted(GetParam());
  shape.model.layers.resize(2);
  for (const CountedPass& counted : shape.kernels_of_two_layers) {
    const auto traffic = TrafficOf(shape.model, counted.pass);
    ASSERT_TRUE(traffic.has_value());
    const int64_t batch = counted.pass.SequenceCount();
    EXPECT_NEAR(counted.counted_bytes / (counted.formula_bytes + traffic->Added()), 1, batch <= 16 ? 0.03 : 0.06)
        << GetParam() << ", " << batch;
  }
}

// The tensor cores compute whole tiles: each expert's tokens filled up to 16.
TEST_P(Counters, TensorCoresComputeWholeTiles) {
  const Json document = ReadJson(CountersOf(GetParam()));
  if (document["weights"] != "BF16") GTEST_SKIP() << "block formats are multiplied as integers, which were not counted";
  const model::LayerSpec layer = Counted(GetParam()).model.layers.back();
  const double flops_of_row = 2 * static_cast<double>(layer.weights[TensorClass::kRoutedExpert].params) / layer.ffn.experts;
  for (const Json& entry : document["flops_of_two_layers"]) {
    double missing_rows = 0;
    for (const double distinct : entry["distinct_experts"].get<std::vector<double>>())
      missing_rows += 16 * distinct - entry["batch"].get<double>() * layer.ffn.top_k;
    const double whole_tiles = entry["formula_flops"].get<double>() + missing_rows * flops_of_row;
    EXPECT_NEAR(entry["counted"]["sm__ops_path_tensor_src_bf16_dst_fp32.sum"].get<double>() / whole_tiles, 1, 0.01);
  }
}

INSTANTIATE_TEST_SUITE_P(H200, Counters, testing::Values("mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v2-lite", "gpt-oss-20b"));

}  // namespace
}  // namespace moecap::metrics
