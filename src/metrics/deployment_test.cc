#include "metrics/deployment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/pass_cost.h"
#include "metrics/utilization.h"
#include "model/open_model.h"

namespace moecap::metrics {
namespace {

using model::ModelSpec;
using model::TensorClass;
using record::PassKind;
using record::PassRecord;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ModelSpec Model(const std::string& id) {
  auto model = model::OpenModel(id);
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
  return *std::move(model);
}

Deployment Of(int tensor, int expert, int pipeline, int data) { return {tensor, expert, pipeline, data}; }

PassRecord Decode(int64_t context, int64_t count, std::vector<double> distinct) {
  PassRecord pass;
  pass.latency_s = 1;
  pass.sequences = {{context, 1, count}};
  pass.distinct_experts = std::move(distinct);
  return pass;
}

double Complete(const ModelSpec& model, const PassRecord& pass, const Replication& copies) {
  return PassBytes(model, pass, Convention::kComplete, copies).value();
}

Utilization Use(const ModelSpec& model, const std::vector<PassRecord>& passes, const Deployment& deployment) {
  Peaks peaks;
  peaks.bandwidth_bytes_per_s = 1e15;
  peaks.flops_per_s = 1e18;
  UtilizationOptions options;
  options.deployment = deployment;
  return ComputeUtilization(model, passes, peaks, options);
}

TEST(Deployment, CountsDevicesAndTheReplicasOfAStep) {
  EXPECT_EQ(Of(8, 1, 2, 4).Devices(), 64);
  EXPECT_EQ(Of(8, 1, 2, 4).StepReplicas(), 1);
  EXPECT_EQ(Of(8, 1, 2, 4).StepDevices(), 16);
  EXPECT_EQ(Of(8, 4, 1, 2).StepReplicas(), 1) << "each replica spreads its experts over parts of itself";
  EXPECT_EQ(Of(1, 8, 1, 8).StepReplicas(), 8);
  EXPECT_EQ(Of(1, 8, 1, 8).StepDevices(), 8);
  EXPECT_EQ(Of(2, 8, 1, 8).StepReplicas(), 4) << "two expert groups of four replicas";
  EXPECT_EQ(Of(2, 8, 1, 8).Devices(), 16);
}

TEST(Deployment, RefusesWhatNoServerCouldRun) {
  const ModelSpec moe = Model("Qwen/Qwen3-30B-A3B");
  const auto error = [&](const Deployment& deployment, const ModelSpec& model) {
    const Status status = Validate(deployment, model);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(error(Of(8, 1, 1, 1), moe), "");
  EXPECT_EQ(error(Of(2, 16, 3, 8), moe), "");
  EXPECT_THAT(error(Of(0, 1, 1, 1), moe), HasSubstr("tensor parallelism of 0 is not possible"));
  EXPECT_THAT(error(Of(1, 1, 1, -2), moe), HasSubstr("data parallelism of -2"));
  EXPECT_THAT(error(Of(1024, 1, 1024, 1024), moe), HasSubstr("devices are too many"));
  EXPECT_THAT(error(Of(2, 8, 1, 2), moe), HasSubstr("8 does not divide the 4 ranks of tensor 2 x data 2"));
  EXPECT_THAT(error(Of(4, 6, 1, 3), moe), HasSubstr("would cut a replica of tensor 4"));
  EXPECT_THAT(error(Of(256, 256, 1, 1), moe), HasSubstr("more than the model's 128 experts"));
  EXPECT_THAT(error(Of(1, 1, 49, 1), moe), HasSubstr("more than the model's 48 layers"));
  ModelSpec dense = moe;
  for (model::LayerSpec& layer : dense.layers) layer.ffn.experts = 0;
  EXPECT_THAT(error(Of(2, 2, 1, 1), dense), HasSubstr("this is dense"));
}

// The worked example of docs/metrics.md on eight devices: 4 KV heads are copied twice, norms and routers lie on every rank.
TEST(Replication, OfQwenOnEightTensorRanksByHand) {
  const ModelSpec model = Model("Qwen/Qwen3-30B-A3B");
  const PassRecord pass = Decode(4095, 1, {8});
  const Replication copies{1, 8};
  const double kv = 2.0 * 48 * 2 * 4 * 128 * 4096;
  EXPECT_EQ(PassKvBytes(model, pass, Convention::kComplete, copies), 2 * kv);
  const double router = 2.0 * 48 * 128 * 2048;
  const double norms = 2.0 * (48 * (2 * 2048 + 2 * 128) + 2048);
  const double sharded = 2.0 * (905969664.0 + 1811939328 + 311164928 + 2048);
  EXPECT_EQ(Complete(model, pass, copies), sharded + 8 * (router + norms) + 2 * kv);
  EXPECT_EQ(PassBytes(model, pass, Convention::kPaper, copies), PassBytes(model, pass, Convention::kPaper));
  EXPECT_EQ(PassKvBytes(model, pass, Convention::kComplete, {1, 4}), kv) << "a head a rank";
  EXPECT_EQ(PassKvBytes(model, pass, Convention::kComplete, {1, 2}), kv);

  const Utilization use = Use(model, {pass}, Of(8, 1, 1, 1));
  EXPECT_EQ(use.decode.bytes, sharded + 8 * (router + norms) + 2 * kv);
  EXPECT_DOUBLE_EQ(*use.decode.s_mbu, *use.decode.bytes / 8e15);
  EXPECT_DOUBLE_EQ(*use.decode.s_mbu_paper, 5838471168.0 / 8e15);
  EXPECT_THAT(use.invalid, IsEmpty());
}

// DeepSeek-V3, eight sequences of 4096 tokens: a latent of 512 + 64 in 61 layers lies on all eight tensor ranks, or in the one
// replica that serves the sequence.
TEST(Replication, OfDeepSeekUnderTensorAndUnderDataParallelAttention) {
  const ModelSpec model = Model("deepseek-ai/DeepSeek-V3");
  const PassRecord pass = Decode(4095, 8, {50});
  const double kv = 2.0 * 8 * 61 * 576 * 4096;
  const double norms = 2.0 * (61 * (2 * 7168 + 1536 + 512) + 7168);
  const double router = 58 * (256 * 7168 * 2.0 + 256 * 4);
  const model::WeightSet all = model.ByClass();
  ASSERT_EQ(all[TensorClass::kNorm].bytes, norms);
  ASSERT_EQ(all[TensorClass::kRouter].bytes, router);
  const double experts = 50.0 / 256 * all[TensorClass::kRoutedExpert].bytes;
  const double sharded = all[TensorClass::kAttention].bytes + all[TensorClass::kSharedExpert].bytes +
                         all[TensorClass::kDenseFfn].bytes + all[TensorClass::kHead].bytes;
  const double rows = 8 * 7168 * 2.0;

  const Utilization tensor = Use(model, {pass}, Of(8, 1, 1, 1));
  EXPECT_EQ(tensor.decode.kv_bytes, 8 * kv);
  EXPECT_NEAR(*tensor.decode.bytes / (sharded + experts + rows + 8 * (norms + router + kv)), 1, 1e-12);

  const Utilization data = Use(model, {pass}, Of(1, 8, 1, 8));
  EXPECT_EQ(data.decode.kv_bytes, kv);
  EXPECT_NEAR(*data.decode.bytes / (8 * (sharded + norms + router) + experts + rows + kv), 1, 1e-12);
  EXPECT_DOUBLE_EQ(*data.decode.s_mbu, *data.decode.bytes / 8e15);
  EXPECT_EQ(tensor.decode.flops, data.decode.flops) << "repeated work is not useful work";
}

TEST(Replication, LatentsCompressedEntriesAndIndexerKeysAreOnEveryRank) {
  const ModelSpec sparse = Model("deepseek-ai/DeepSeek-V3.2");
  const Replication copies{1, 8};
  ASSERT_EQ(sparse.layers[0].attention.caches.size(), 2u);
  EXPECT_EQ(copies.OfCache(sparse.layers[0].attention, 0), 8);
  EXPECT_EQ(copies.OfCache(sparse.layers[0].attention, 1), 8);
  model::AttentionSpec windowed;
  windowed.kind = model::AttentionKind::kGqa;
  windowed.kv_heads = 16;
  EXPECT_EQ(copies.OfCache(windowed, 0), 1);
  EXPECT_EQ(copies.OfCache(windowed, 1), 8) << "one indexer key serves all heads";
  windowed.kv_heads = 1;
  EXPECT_EQ(copies.OfCache(windowed, 0), 8);
}

TEST(Replication, RecurrentStateIsShardedAndReadOnce) {
  const ModelSpec model = Model("Qwen/Qwen3-Next-80B-A3B-Instruct");
  const PassRecord empty = Decode(0, 1, {10});
  const double entries = PassKvBytes(model, empty, Convention::kPaper);  // one token in each cache, no state
  const double state = PassKvBytes(model, empty, Convention::kComplete) - entries;
  ASSERT_GT(state, 0);
  EXPECT_DOUBLE_EQ(PassKvBytes(model, empty, Convention::kComplete, {1, 8}), state + 4 * entries) << "2 KV heads on 8 ranks";
}

// Property over the catalogue's kinds of attention: one device is today's count to the last bit, more devices never move less.
TEST(Replication, OneDeviceChangesNothingAndMoreNeverCountLess) {
  for (const char* id : {"Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3.2", "openai/gpt-oss-20b",
                         "Qwen/Qwen3-Next-80B-A3B-Instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1"}) {
    const ModelSpec model = Model(id);
    const std::vector<PassRecord> passes = {Decode(4095, 8, {12}), Decode(17, 1, {8})};
    const Utilization plain = ComputeUtilization(model, passes, Peaks{1e15, 1e18, 1});
    const Utilization one = Use(model, passes, Deployment{});
    EXPECT_EQ(plain.decode.bytes, one.decode.bytes) << id;
    EXPECT_EQ(plain.decode.kv_bytes, one.decode.kv_bytes) << id;
    EXPECT_EQ(plain.decode.s_mbu, one.decode.s_mbu) << id;
    EXPECT_EQ(plain.decode.mbu, one.decode.mbu) << id;
    for (const Deployment& deployment :
         {Of(2, 1, 1, 1), Of(8, 1, 1, 1), Of(8, 8, 1, 1), Of(1, 4, 1, 4), Of(2, 4, 2, 4), Of(4, 1, 2, 2)}) {
      const Utilization more = Use(model, passes, deployment);
      EXPECT_GE(*more.decode.bytes, *one.decode.bytes) << id;
      EXPECT_GE(*more.decode.kv_bytes, *one.decode.kv_bytes) << id;
      EXPECT_EQ(more.decode.flops, one.decode.flops) << id;
      EXPECT_NEAR(*more.decode.s_mbu_paper * static_cast<double>(deployment.StepDevices()) / *one.decode.s_mbu_paper, 1, 1e-12);
    }
  }
}

PassRecord OfReplica(int replica, std::vector<int32_t> counts, int64_t index = 0) {
  PassRecord pass = Decode(99, 1, {});
  pass.pass = index;
  pass.replica = replica;
  pass.latency_s = 1 + replica;
  pass.expert_counts = {std::move(counts)};
  return pass;
}

// One MoE layer of four experts of 100 bytes, top-2, and attention of 1000 bytes.
ModelSpec Small() {
  ModelSpec spec;
  model::LayerSpec layer;
  layer.ffn.experts = 4;
  layer.ffn.top_k = 2;
  layer.weights[TensorClass::kAttention] = {500, 1000, 500, 1000};
  layer.weights[TensorClass::kRoutedExpert] = {200, 400, 200, 400};
  spec.layers.push_back(layer);
  return spec;
}

TEST(JoinSteps, ReplicasThatShareExpertsReadTheirUnionOnce) {
  const std::vector<PassRecord> passes = {OfReplica(0, {1, 1, 0, 0}), OfReplica(1, {1, 0, 1, 0}),
                                          OfReplica(1, {0, 0, 1, 1}, 1)};
  const Utilization shared = Use(Small(), passes, Of(1, 2, 1, 2));
  EXPECT_EQ(shared.decode.passes, 2);
  EXPECT_EQ(shared.decode.tokens, 3);
  EXPECT_EQ(shared.decode.latency_s, 2 + 2) << "the slower of two, then one that idled beside nobody's record";
  EXPECT_EQ(shared.decode.bytes, (2 * 1000 + 3 * 100) + (1000 + 2 * 100));
  EXPECT_DOUBLE_EQ(*shared.decode.s_mbu, *shared.decode.bytes / 4 / 2e15);
  EXPECT_THAT(shared.decode.mean_distinct_experts, ElementsAre(2.5));

  const Utilization own = Use(Small(), passes, Of(1, 1, 1, 2));
  EXPECT_EQ(own.decode.passes, 3);
  EXPECT_EQ(own.decode.bytes, 3 * 1000 + (2 + 2 + 2) * 100);
  EXPECT_DOUBLE_EQ(*own.decode.s_mbu, *own.decode.bytes / 5 / 1e15) << "each pass keeps one of the two devices busy";
}

TEST(JoinSteps, ARecordOfTheWholeGroupStandsForAllItsReplicas) {
  const Utilization use = Use(Small(), {Decode(99, 8, {4})}, Of(1, 4, 1, 4));
  EXPECT_EQ(use.decode.bytes, 4 * 1000 + 4 * 100);
}

TEST(JoinSteps, RecordsWithoutAPassIndexArePairedInOrder) {
  const std::vector<PassRecord> passes = {OfReplica(0, {1, 1, 0, 0}), OfReplica(0, {0, 1, 1, 0}), OfReplica(1, {1, 1, 0, 0}),
                                          OfReplica(1, {1, 0, 0, 1})};
  EXPECT_THAT(Use(Small(), passes, Of(1, 2, 1, 2)).decode.mean_distinct_experts, ElementsAre((2 + 4) / 2.0));
}

TEST(JoinSteps, AnUnknownOverlapIsNullAndSaysWhy) {
  std::vector<PassRecord> passes = {OfReplica(0, {1, 1, 0, 0}), OfReplica(1, {1, 0, 1, 0})};
  passes[1].expert_counts.clear();
  passes[1].distinct_experts = {2};
  const Utilization use = Use(Small(), passes, Of(1, 2, 1, 2));
  EXPECT_EQ(use.decode.bytes, std::nullopt);
  EXPECT_TRUE(use.decode.mbu.has_value());
  EXPECT_THAT(use.notes, ElementsAre(HasSubstr("1 steps were recorded by several replicas")));
}

TEST(JoinSteps, KindsMixAndOtherRanksAreLeftOut) {
  std::vector<PassRecord> passes = {OfReplica(0, {1, 1, 0, 0}), OfReplica(1, {1, 0, 1, 0}), OfReplica(1, {1, 1, 1, 1})};
  passes[1].kind = PassKind::kPrefill;
  passes[2].rank = 1;
  const Utilization use = Use(Small(), passes, Of(1, 2, 1, 2));
  EXPECT_EQ(use.mixed.passes, 1);
  EXPECT_EQ(use.all.passes, 1);
  passes[1].replica = 2;
  EXPECT_THAT(Use(Small(), passes, Of(1, 2, 1, 2)).invalid, ElementsAre(HasSubstr("replica 2 of a deployment of 2")));
}

// 128 heads: 2 x 128 x (192 + 128) FLOPs a pair with keys and values of each head, 2 x 128 x (2 x 512 + 64) in the latent
// space.
TEST(MlaForm, ChangesTheCompleteFlopsOfMlaOnly) {
  const ModelSpec model = Model("deepseek-ai/DeepSeek-V3");
  const PassRecord pass = Decode(4095, 1, {8});
  const auto flops = [&](const ModelSpec& spec, Convention convention, MlaForm form) {
    return PassFlops(spec, pass, convention, std::nullopt, form);
  };
  EXPECT_EQ(flops(model, Convention::kComplete, MlaForm::kAbsorbed) - flops(model, Convention::kComplete, MlaForm::kExpanded),
            61.0 * 4096 * 2 * 128 * ((2 * 512 + 64) - (192 + 128)));
  EXPECT_EQ(flops(model, Convention::kPaper, MlaForm::kAbsorbed), flops(model, Convention::kPaper, MlaForm::kExpanded));
  const ModelSpec gqa = Model("Qwen/Qwen3-30B-A3B");
  EXPECT_EQ(flops(gqa, Convention::kComplete, MlaForm::kAbsorbed), flops(gqa, Convention::kComplete, MlaForm::kExpanded));
}

}  // namespace
}  // namespace moecap::metrics
