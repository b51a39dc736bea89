#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/estimate.h"
#include "metrics/pass_cost.h"
#include "metrics/utilization.h"

namespace moecap::metrics {
namespace {

using model::FfnSpec;
using model::KvCacheSpec;
using model::LayerSpec;
using model::ModelSpec;
using model::TensorClass;
using model::Weights;
using record::PassKind;
using record::PassRecord;
using testing::ElementsAre;
using testing::HasSubstr;

// F16 matrix; `vectors` more parameters that are no matrix.
Weights Half(int64_t matrix, int64_t vectors = 0) {
  return {matrix + vectors, 2.0 * static_cast<double>(matrix + vectors), matrix, 2.0 * static_cast<double>(matrix)};
}

// Two layers, hidden 10, vocabulary 100: attention 400 (+ 8 bias), norm 20, router 40; layer 0 has 4 experts of 60, top-2, and
// a shared expert of 30; layer 1 a dense FFN of 90. KV: 16 elements a layer, 64 FLOPs a query-key pair; F16 everywhere.
ModelSpec TwoLayers() {
  ModelSpec spec;
  spec.vocab = 100;
  spec.hidden = 10;
  spec.ends[TensorClass::kEmbedding] = Half(1000);
  spec.ends[TensorClass::kHead] = Half(1000);
  spec.ends[TensorClass::kNorm] = Half(0, 10);
  for (int i = 0; i < 2; ++i) {
    LayerSpec layer;
    layer.weights[TensorClass::kAttention] = Half(400, 8);
    layer.weights[TensorClass::kNorm] = Half(0, 20);
    layer.attention.kind = model::AttentionKind::kGqa;
    KvCacheSpec cache;
    cache.elements = 16;
    cache.flops_per_entry = 64;
    layer.attention.caches.push_back(cache);
    if (i == 0) {
      layer.ffn.experts = 4;
      layer.ffn.top_k = 2;
      layer.weights[TensorClass::kRouter] = Half(40);
      layer.weights[TensorClass::kRoutedExpert] = Half(240);
      layer.weights[TensorClass::kSharedExpert] = Half(30, 10);
    } else {
      layer.weights[TensorClass::kDenseFfn] = Half(90);
    }
    spec.layers.push_back(layer);
  }
  return spec;
}

PassRecord Pass(PassKind kind, int64_t context, int64_t tokens, int64_t count, std::vector<double> distinct,
                double latency_s = 1) {
  PassRecord pass;
  pass.kind = kind;
  pass.latency_s = latency_s;
  pass.sequences = {{context, tokens, count}};
  pass.distinct_experts = std::move(distinct);
  return pass;
}

TEST(PassBytes, OfADecodePassByHand) {
  const ModelSpec model = TwoLayers();
  const PassRecord pass = Pass(PassKind::kDecode, 99, 1, 3, {3});
  // Attention 2 x 408, norm 2 x 20 + 10, router 40, shared 40, dense 90, head 1000, three embedding rows of 10; F16.
  const double weights = 2.0 * (2 * 408 + 50 + 40 + 40 + 90 + 1000 + 3 * 10);
  const double experts = 3 * 60 * 2;
  const double kv = 3 * (99 + 1) * 2 * 16 * 2;
  EXPECT_EQ(PassBytes(model, pass, Convention::kComplete), weights + experts + kv);
  EXPECT_EQ(PassKvBytes(model, pass, Convention::kComplete), kv);
  EXPECT_EQ(PassBytes(model, pass, Convention::kPaper), 2.0 * (2 * 400 + 30 + 90) + experts + kv);
  EXPECT_EQ(PassBytes(model, pass, Convention::kVanilla), weights + 4 * 60 * 2 + kv);
}

TEST(PassFlops, OfADecodePassByHand) {
  const ModelSpec model = TwoLayers();
  const PassRecord pass = Pass(PassKind::kDecode, 99, 1, 3, {});
  const double matrices = 2 * (2 * 400 + 40 + 2 * 60 + 30 + 90);
  const double scores = 2 * 64 * 100;
  EXPECT_EQ(PassFlops(model, pass, Convention::kPaper), 3 * (matrices + scores));
  EXPECT_EQ(PassFlops(model, pass, Convention::kComplete), 3 * (matrices + scores + 2 * 1000));
  EXPECT_EQ(PassFlops(model, pass, Convention::kVanilla), 3 * (matrices + 2 * 2 * 60 + scores + 2 * 1000));
}

TEST(PassFlops, PrefillIsCausalAndComputesOneHeadRowPerSequence) {
  const ModelSpec model = TwoLayers();
  const PassRecord pass = Pass(PassKind::kPrefill, 5, 10, 2, {4});
  const double matrices = 20 * 2 * (2 * 400 + 40 + 2 * 60 + 30 + 90);
  const double scores = 2 * 2 * 64 * (10 * 5 + 10 * 11 / 2);
  EXPECT_EQ(PassFlops(model, pass, Convention::kPaper), matrices + scores);
  EXPECT_EQ(PassFlops(model, pass, Convention::kComplete), matrices + scores + 2 * 2 * 1000);
  EXPECT_EQ(PassFlops(model, pass, Convention::kComplete, 0), matrices + scores) << "an unfinished chunk needs no logits";
}

// The engine routed only 2 of the 20 rows of this layer: its router, shared expert and experts work for those alone.
TEST(PassFlops, RecordedRowsReplaceTheTokensOfALayersFfn) {
  const ModelSpec model = TwoLayers();
  PassRecord pass = Pass(PassKind::kPrefill, 0, 10, 2, {3});
  const double all_rows = PassFlops(model, pass, Convention::kComplete);
  pass.expert_counts = {{2, 1, 1, 0}};
  EXPECT_EQ(all_rows - PassFlops(model, pass, Convention::kComplete), 18 * 2 * (40 + 2 * 60 + 30));
  EXPECT_EQ(PassFlops(model, pass, Convention::kPaper),
            PassFlops(model, Pass(PassKind::kPrefill, 0, 10, 2, {3}), Convention::kPaper));
}

TEST(PassBytes, StateWindowsAndTiedHeads) {
  ModelSpec model = TwoLayers();
  model.layers[0].attention.caches[0].window = 16;
  model.layers[1].attention.caches.clear();
  model.layers[1].attention.state_elements = 50;
  model.layers[1].attention.conv_state_elements = 5;
  model.layers[1].attention.state_flops_per_token = 350;
  model.kv_bits = 8;
  const PassRecord pass = Pass(PassKind::kDecode, 1000, 1, 2, {2});
  EXPECT_EQ(PassKvBytes(model, pass, Convention::kComplete), 2 * (16 * 16 * 1 + 2 * 55 * 4));
  EXPECT_EQ(PassKvBytes(model, pass, Convention::kPaper), 2 * 16 * 16);
  EXPECT_EQ(PassFlops(model, pass, Convention::kComplete) - PassFlops(model, pass, Convention::kPaper), 2 * (350 + 2 * 1000));

  const double untied = *PassBytes(model, pass, Convention::kComplete);
  model.ends[TensorClass::kHead] = Weights{};
  model.tied_embedding = true;
  EXPECT_EQ(*PassBytes(model, pass, Convention::kComplete), untied) << "the embedding is read as the head";
}

TEST(PassBytes, UnknownRoutingGivesNullNotZero) {
  const ModelSpec model = TwoLayers();
  PassRecord pass = Pass(PassKind::kDecode, 9, 1, 1, {});
  EXPECT_EQ(PassBytes(model, pass, Convention::kComplete), std::nullopt);
  EXPECT_EQ(PassBytes(model, pass, Convention::kPaper), std::nullopt);
  EXPECT_TRUE(PassBytes(model, pass, Convention::kVanilla).has_value());
  pass.expert_counts = {{1, 0, 1, 0}};
  EXPECT_EQ(PassBytes(model, pass, Convention::kComplete),
            PassBytes(model, Pass(PassKind::kDecode, 9, 1, 1, {2}), Convention::kComplete));
}

TEST(PassBytes, ADenseModelNeedsNoRouting) {
  ModelSpec model = TwoLayers();
  model.layers.erase(model.layers.begin());
  EXPECT_TRUE(PassBytes(model, Pass(PassKind::kDecode, 9, 1, 1, {}), Convention::kComplete).has_value());
}

TEST(Utilization, IsARatioOfSums) {
  const ModelSpec model = TwoLayers();
  const std::vector<PassRecord> passes = {Pass(PassKind::kDecode, 99, 1, 3, {3}, 0.5),
                                          Pass(PassKind::kDecode, 9, 1, 1, {2}, 0.25),
                                          Pass(PassKind::kPrefill, 0, 10, 1, {4}, 0.125)};
  Peaks peaks;
  peaks.bandwidth_bytes_per_s = 1e6;
  peaks.flops_per_s = 1e7;
  peaks.devices = 2;
  const Utilization use = ComputeUtilization(model, passes, peaks);
  const double bytes =
      *PassBytes(model, passes[0], Convention::kComplete) + *PassBytes(model, passes[1], Convention::kComplete);
  EXPECT_EQ(use.decode.passes, 2);
  EXPECT_EQ(use.decode.tokens, 4);
  EXPECT_EQ(use.decode.latency_s, 0.75);
  EXPECT_EQ(use.decode.bytes, bytes);
  EXPECT_DOUBLE_EQ(*use.decode.s_mbu, bytes / 0.75 / 2e6);
  EXPECT_DOUBLE_EQ(*use.decode.s_mfu, *use.decode.flops / 0.75 / 2e7);
  EXPECT_THAT(use.decode.mean_distinct_experts, ElementsAre(2.5));
  EXPECT_GT(*use.decode.mbu, *use.decode.s_mbu);
  EXPECT_GT(*use.decode.mfu, *use.decode.s_mfu);
  EXPECT_LT(*use.decode.s_mbu_paper, *use.decode.s_mbu);
  EXPECT_EQ(use.all.passes, 3);
  EXPECT_EQ(use.all.tokens, 14);
  EXPECT_DOUBLE_EQ(*use.all.bytes, *use.decode.bytes + *use.prefill.bytes);
  EXPECT_EQ(use.mixed.passes, 0);
  EXPECT_EQ(use.mixed.bytes, std::nullopt);
  EXPECT_THAT(use.invalid, ElementsAre());
}

TEST(Utilization, WithoutPeaksOrRoutingTheFiguresThatNeedThemAreNull) {
  const ModelSpec model = TwoLayers();
  const std::vector<PassRecord> passes = {Pass(PassKind::kDecode, 9, 1, 1, {2}), Pass(PassKind::kDecode, 9, 1, 1, {})};
  Peaks peaks;
  peaks.bandwidth_bytes_per_s = 1e6;
  const Utilization use = ComputeUtilization(model, passes, peaks);
  EXPECT_EQ(use.decode.bytes, std::nullopt) << "one pass without routing makes the sum unknown";
  EXPECT_EQ(use.decode.s_mbu, std::nullopt);
  EXPECT_TRUE(use.decode.mbu.has_value());
  EXPECT_TRUE(use.decode.kv_bytes.has_value());
  EXPECT_TRUE(use.decode.flops.has_value());
  EXPECT_EQ(use.decode.s_mfu, std::nullopt);
  EXPECT_TRUE(use.decode.mean_distinct_experts.empty());
  EXPECT_TRUE(use.invalid.empty());
}

TEST(Utilization, WarmUpAndOtherRanksAreLeftOut) {
  std::vector<PassRecord> passes(3, Pass(PassKind::kDecode, 9, 1, 1, {2}));
  passes[1].cell.repeat = -1;
  passes[2].rank = 1;
  EXPECT_EQ(ComputeUtilization(TwoLayers(), passes, {}).all.passes, 1);
}

std::vector<std::string> InvalidOf(const PassRecord& pass, double bandwidth = 1e9) {
  Peaks peaks;
  peaks.bandwidth_bytes_per_s = bandwidth;
  peaks.flops_per_s = 1e12;
  return ComputeUtilization(TwoLayers(), std::vector<PassRecord>{pass}, peaks).invalid;
}

TEST(Estimate, FillsWhatNoTraceSays) {
  const ModelSpec model = TwoLayers();
  EXPECT_THAT(EstimateDistinctExperts(model, Pass(PassKind::kDecode, 9, 1, 1, {})), ElementsAre(testing::DoubleNear(2, 1e-9)));
  PassRecord pass = Pass(PassKind::kDecode, 9, 1, 4, {});
  const std::vector<double> uniform = EstimateDistinctExperts(model, pass, 0);
  EXPECT_THAT(uniform, ElementsAre(testing::DoubleNear(4 * (1 - 0.5 * 0.5 * 0.5 * 0.5), 1e-9)));
  EXPECT_LT(EstimateDistinctExperts(model, pass)[0], uniform[0]);
  pass.distinct_experts = uniform;
  EXPECT_TRUE(PassBytes(model, pass, Convention::kComplete).has_value());
  EXPECT_LT(EstimateDistinctExperts(model, Pass(PassKind::kPrefill, 0, 4, 1, {}), 0)[0], uniform[0])
      << "tokens of one prompt choose alike";
  ModelSpec dense = TwoLayers();
  dense.layers.erase(dense.layers.begin());
  EXPECT_TRUE(EstimateDistinctExperts(dense, pass).empty());
}

TEST(Gates, TripAndSayWhy) {
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {3})), ElementsAre());
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {1})), ElementsAre(HasSubstr("fewer than top-2")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {0})), ElementsAre(HasSubstr("fewer than top-2")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {5})), ElementsAre(HasSubstr("more than min(4 experts")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 1, {3})), ElementsAre(HasSubstr("1 tokens x top-2")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {3, 3})), ElementsAre(HasSubstr("2 layers, but the model has 1")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {3}, 0)), ElementsAre(HasSubstr("latency of 0 s")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 0, 4, {3})), ElementsAre(HasSubstr("0 new tokens")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kDecode, 9, 1, 4, {3}), 1), ElementsAre(HasSubstr("S-MBU of the decode passes")));
  EXPECT_THAT(InvalidOf(Pass(PassKind::kPrefill, 0, 9, 4, {0})), ElementsAre()) << "no row of the last layer needed logits";
}

TEST(Gates, RowsThatWereRoutedBoundTheDistinctExperts) {
  PassRecord pass = Pass(PassKind::kPrefill, 0, 9, 4, {2});
  pass.expert_counts = {{1, 1, 0, 0}};
  EXPECT_THAT(InvalidOf(pass), ElementsAre());
  pass.distinct_experts = {3};
  EXPECT_THAT(InvalidOf(pass), ElementsAre(HasSubstr("1 tokens x top-2")));
}

Gate GateNamed(const Utilization& use, std::string_view name) {
  for (const Gate& gate : use.gates) {
    if (gate.name == name) return gate;
  }
  ADD_FAILURE() << "no gate " << name;
  return {};
}

TEST(Gates, AnExpertChosenMoreOftenThanThereAreTokensIsARepeatedId) {
  PassRecord pass = Pass(PassKind::kDecode, 9, 1, 4, {});
  pass.expert_counts = {{4, 2, 2, 0}};
  EXPECT_THAT(InvalidOf(pass), ElementsAre());
  pass.expert_counts = {{5, 2, 1, 0}};
  EXPECT_THAT(InvalidOf(pass), ElementsAre(HasSubstr("expert 0 of MoE layer 0 was chosen 5 times by 4 tokens")));
  pass.expert_counts = {{8, 0, 0, 0}};  // every id is 0
  EXPECT_THAT(InvalidOf(pass), ElementsAre(HasSubstr("fewer than top-2"), HasSubstr("chosen 8 times by 4 tokens")));
}

TEST(Gates, SayWhatWasLookedAtAndWhatWasNot) {
  const std::vector<PassRecord> passes = {Pass(PassKind::kDecode, 9, 1, 4, {3}), Pass(PassKind::kDecode, 9, 1, 4, {})};
  const Utilization use = ComputeUtilization(TwoLayers(), passes, {});
  EXPECT_EQ(GateNamed(use, "distinct experts at least top-k").state, Gate::State::kPassed);
  EXPECT_EQ(GateNamed(use, "experts of one token differ").state, Gate::State::kNotMeasured) << "no ids were counted";
  EXPECT_EQ(GateNamed(use, "S-MBU of decode").state, Gate::State::kNotMeasured) << "no peak";
  EXPECT_FALSE(use.prefill.latency_s.has_value()) << "no prefill pass: unknown, not 0 s";
  EXPECT_EQ(use.decode.latency_s, 2);
}

TEST(Gates, TpotUnderTheBytesOfTheCheapestDecodePassTrips) {
  const ModelSpec model = TwoLayers();
  const std::vector<PassRecord> passes = {Pass(PassKind::kDecode, 9, 1, 4, {4}), Pass(PassKind::kDecode, 9, 1, 1, {2})};
  Peaks peaks;
  peaks.bandwidth_bytes_per_s = 1e6;
  const double floor_s = *PassBytes(model, passes[1], Convention::kComplete) / 1e6;
  UtilizationOptions options;
  options.tpot_s = floor_s * 1.01;
  const char* name = "TPOT over the byte floor";
  EXPECT_EQ(GateNamed(ComputeUtilization(model, passes, peaks, options), name).state, Gate::State::kPassed);
  options.tpot_s = floor_s * 0.99;
  EXPECT_TRUE(GateNamed(ComputeUtilization(model, passes, peaks, options), name).tripped());
  EXPECT_EQ(GateNamed(ComputeUtilization(model, passes, {}, options), name).state, Gate::State::kNotMeasured);
}

TEST(Gates, ManyPassesAreReportedOnce) {
  const std::vector<PassRecord> passes(5, Pass(PassKind::kDecode, 9, 1, 4, {1}));
  EXPECT_THAT(ComputeUtilization(TwoLayers(), passes, {}).invalid, ElementsAre(HasSubstr("and 4 more passes")));
}

}  // namespace
}  // namespace moecap::metrics
