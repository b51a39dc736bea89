#include "planner/step_time.h"

#include <gtest/gtest.h>

#include <cmath>

#include "metrics/estimate.h"
#include "metrics/pass_cost.h"
#include "model/catalogue.h"
#include "model/kv_format.h"
#include "planner/fit.h"
#include "planner/serving.h"

namespace moecap::planner {
namespace {

const hardware::Catalogue& Devices() {
  static const hardware::Catalogue kDevices = *hardware::Catalogue::Builtin();
  return kDevices;
}

model::ModelSpec SpecOf(const char* id) {
  static const model::ModelCatalogue kModels = *model::ModelCatalogue::Builtin();
  return *model::SpecOf(*kModels.Find(id), id);
}

// Nothing but the specification sheet: every factor 1, no latency.
StepFactors AtPeak() { return {}; }

struct Fixture {
  explicit Fixture(const char* model, const char* device_id = "h100-sxm", metrics::Deployment deployment = {})
      : spec(SpecOf(model)), work(MakeModelWork(spec)), device(*Devices().FindDevice(device_id)) {
    point = std::make_unique<ServingPoint>(ServingPoint{work, device, deployment, FabricOf(device, Devices()), AtPeak(), {}});
  }
  model::ModelSpec spec;
  ModelWork work;
  hardware::Device device;
  std::unique_ptr<ServingPoint> point;
};

TEST(ModelWork, BytesAndFlopsAreThoseOfARecordedPass) {
  for (const char* id : {"Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-120b",
                         "Qwen/Qwen3-Next-80B-A3B-Thinking", "zai-org/GLM-5", "mistralai/Mixtral-8x7B-v0.1"}) {
    Fixture f(id);
    for (const int sequences : {1, 17, 128}) {
      record::PassRecord pass;
      pass.kind = record::PassKind::kDecode;
      pass.sequences = {{.context_tokens = 3000, .new_tokens = 1, .count = sequences}};
      pass.distinct_experts = metrics::EstimateDistinctExperts(f.spec, pass);
      const StepTime step = DecodeStep(*f.point, {static_cast<double>(sequences), 3000, 1});
      const double bytes = *metrics::PassBytes(f.spec, pass, metrics::Convention::kComplete);
      const double flops =
          metrics::PassFlops(f.spec, pass, metrics::Convention::kComplete, std::nullopt, metrics::MlaForm::kAbsorbed);
      EXPECT_NEAR(step.bytes / bytes, 1, 1e-6) << id << " " << sequences;
      EXPECT_NEAR(step.flops / flops, 1, 1e-3) << id << " " << sequences;
    }
  }
}

TEST(ModelWork, PromptFlopsAreThoseOfAPrefillPass) {
  Fixture f("Qwen/Qwen3-30B-A3B");
  record::PassRecord pass;
  pass.kind = record::PassKind::kPrefill;
  pass.sequences = {{.context_tokens = 1000, .new_tokens = 2000, .count = 1}};
  const double flops = metrics::PassFlops(f.spec, pass, metrics::Convention::kComplete);
  EXPECT_NEAR(PromptFlops(f.work, 2000, 1000) / flops, 1, 1e-9);
}

TEST(Formulas, ByHand) {
  EXPECT_DOUBLE_EQ(Roofline(100, 10, 30, 2), 15);  // 10 s of bytes, 15 s of FLOPs
  EXPECT_DOUBLE_EQ(AllReduceBytes(800, 8), 1400);  // 2 x 7/8
  EXPECT_DOUBLE_EQ(AllReduceBytes(800, 1), 0);
  EXPECT_DOUBLE_EQ(RanksOfToken(1, 8), 1);
  EXPECT_DOUBLE_EQ(RanksOfToken(2, 4), 1 + 0.75);  // the second expert is elsewhere three times of four
  EXPECT_NEAR(RanksOfToken(64, 4), 4, 1e-6);       // never more than there are
  EXPECT_DOUBLE_EQ(AllToAllBytes(10, 2, 50, 100, 4), 10 * 1.75 * 150 * 0.75);
  EXPECT_DOUBLE_EQ(ExpertImbalance(1, 64, 8, 256, 0.5), 1);
  // Monte-Carlo values with their formula's: G 8, T 64, CV 0 and 0.5; G 64, T 4096, CV 1 (docs/planner.md).
  EXPECT_NEAR(ExpertImbalance(8, 64, 8, 256, 0), 1.25, 0.005);
  EXPECT_NEAR(ExpertImbalance(8, 64, 8, 256, 0.5), 1.31, 0.005);
  EXPECT_NEAR(ExpertImbalance(64, 4096, 8, 256, 1), 2.45, 0.01);
}

TEST(DecodeStep, OneDeviceByHand) {
  Fixture f("mistralai/Mixtral-8x7B-v0.1");
  const StepTime step = DecodeStep(*f.point, {1, 0, 1});
  // One token reads two of eight experts of 32 layers, 3 x 4096 x 14336 parameters of 2 bytes each, at 3350 GB/s.
  EXPECT_NEAR(step.experts_s, 32 * 2 * 3 * 4096.0 * 14336 * 2 / 3350e9, 1e-9);
  EXPECT_DOUBLE_EQ(step.distinct_experts, 2);
  EXPECT_DOUBLE_EQ(step.collectives_s, 0);
  EXPECT_DOUBLE_EQ(step.latency_s, 0);
  EXPECT_FALSE(step.compute_bound);
}

TEST(DecodeStep, TensorParallelismDividesBytesAndAddsTheLink) {
  Fixture one("mistralai/Mixtral-8x7B-v0.1"), eight("mistralai/Mixtral-8x7B-v0.1", "h100-sxm", {8, 1, 1, 1});
  const StepTime a = DecodeStep(*one.point, {16, 1024, 1}), b = DecodeStep(*eight.point, {16, 1024, 1});
  EXPECT_NEAR(b.experts_s, a.experts_s / 8, 1e-12);
  EXPECT_NEAR(b.kv_s, a.kv_s / 8, 1e-12);  // eight KV heads
  // 2 all-reduces of 32 layers, 16 tokens x 4096 x 2 bytes, 7/8 twice over 450 GB/s.
  EXPECT_NEAR(b.collectives_s, 2 * 32 * 2 * 7.0 / 8 * 16 * 4096 * 2 / 450e9, 1e-12);
  EXPECT_DOUBLE_EQ(a.bytes, b.bytes);
}

// A layer has an exchange behind attention, among the ranks of a replica, and one in the FFN, among all that share its experts:
// half of the latency each, for each doubling of its ranks.
TEST(DecodeStep, EachExchangeOfALayerHasHalfOfItsLatency) {
  const auto latency = [](const metrics::Deployment& deployment) {
    Fixture f("deepseek-ai/DeepSeek-V3", "h200-sxm", deployment);
    f.point->factors.sync_s = 1e-6;
    return DecodeStep(*f.point, {4, 1024, 1}).latency_s / 61;
  };
  EXPECT_DOUBLE_EQ(latency({8, 1, 1, 1}), 3e-6);
  EXPECT_DOUBLE_EQ(latency({1, 8, 1, 8}), 1.5e-6);
  EXPECT_DOUBLE_EQ(latency({2, 8, 1, 4}), 2e-6);
  EXPECT_DOUBLE_EQ(latency({1, 1, 1, 8}), 0) << "replicas that share nothing";
}

// DeepSeek-V3.2 is V3 with an indexer in each of its 61 layers.
TEST(DecodeStep, AnIndexerHasKernelsOfItsOwn) {
  const auto latency = [](const char* id) {
    Fixture f(id);
    f.point->factors.indexer_layer_s = 1e-6;
    return DecodeStep(*f.point, {4, 1024, 1}).latency_s;
  };
  EXPECT_DOUBLE_EQ(latency("deepseek-ai/DeepSeek-V3"), 0);
  EXPECT_NEAR(latency("deepseek-ai/DeepSeek-V3.2"), 61e-6, 1e-12);
}

TEST(OperandBytes, AreThoseOfTheTypeThatIsMultiplied) {
  const hardware::Catalogue devices = *hardware::Catalogue::Builtin();
  const auto bytes = [&](const char* device, const char* type) { return OperandBytes(*devices.FindDevice(device), type); };
  EXPECT_EQ(bytes("h200-sxm", "bf16"), 2);
  EXPECT_EQ(bytes("h200-sxm", "fp8"), 1);
  EXPECT_EQ(bytes("a100-80-sxm", "fp8"), 2) << "widened: weights alone are in fp8";
  EXPECT_EQ(bytes("h200-sxm", "nvfp4"), 2);
  EXPECT_EQ(bytes("b200-sxm", "nvfp4"), 4.5 / 8) << "a scale of 8 bits for 16 elements";
  EXPECT_EQ(bytes("b200-sxm", "mxfp4"), 4.25 / 8) << "... for 32";
}

TEST(DecodeStep, LatentsAreReadByEveryRank) {
  Fixture one("deepseek-ai/DeepSeek-V3"), eight("deepseek-ai/DeepSeek-V3", "h200-sxm", {8, 1, 1, 1});
  const double a = DecodeStep(*one.point, {4, 8192, 1}).kv_s * 3350, b = DecodeStep(*eight.point, {4, 8192, 1}).kv_s * 4800;
  EXPECT_NEAR(a / b, 1, 0.01);
}

TEST(DecodeStep, IsMonotone) {
  const char* const models[] = {"Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-120b"};
  for (const char* id : models) {
    Fixture f(id);
    f.point->factors = Multipliers::Builtin()->FactorsOf("vllm", f.device);
    double last = 0;
    for (const double sequences : {1.0, 2.0, 8.0, 64.0, 512.0}) {  // in the batch
      const double now = DecodeStep(*f.point, {sequences, 2048, 1}).Total();
      EXPECT_GE(now, last) << id;
      last = now;
    }
    EXPECT_LE(DecodeStep(*f.point, {8, 100, 1}).Total(), DecodeStep(*f.point, {8, 100000, 1}).Total());  // in the context
    hardware::Device faster = f.device;
    *faster.bandwidth_bytes_per_s *= 1.5;
    const ServingPoint quick{f.work, faster, {}, f.point->fabric, f.point->factors, {}};
    EXPECT_LT(DecodeStep(quick, {8, 2048, 1}).Total(), DecodeStep(*f.point, {8, 2048, 1}).Total());
    model::ModelSpec wide = f.spec;
    for (const model::TensorClass c : model::kTensorClasses) model::SetWeightPrecision(wide, c, "bf16", 16);
    const ModelWork wide_work = MakeModelWork(wide);
    const ServingPoint heavy{wide_work, f.device, {}, f.point->fabric, f.point->factors, {}};
    EXPECT_GE(DecodeStep(heavy, {8, 2048, 1}).experts_s, DecodeStep(*f.point, {8, 2048, 1}).experts_s);  // in bits
  }
}

TEST(DecodeStep, IsNeverFasterThanTheCeilings) {
  const Multipliers multipliers = *Multipliers::Builtin();
  for (const char* device : {"h100-sxm", "b200-sxm", "mi300x", "rtx-4090", "m3-ultra"}) {
    for (const char* id : {"Qwen/Qwen3-30B-A3B", "openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V3"}) {
      Fixture f(id, device);
      f.point->factors = multipliers.FactorsOf("vllm", f.device);
      for (const double sequences : {1.0, 16.0, 256.0}) {
        const StepTime step = DecodeStep(*f.point, {sequences, 4096, 1});
        EXPECT_LE(step.bytes / step.Total(), *f.device.bandwidth_bytes_per_s) << device << id;
        EXPECT_GT(step.Total(), 0);
      }
    }
  }
}

TEST(DecodeStep, MeasuredPopularityTakesThePlaceOfTheEstimator) {
  Fixture f("Qwen/Qwen3-30B-A3B");
  routing::ActivationSheet sheet;
  sheet.experts = 128;
  sheet.top_k = 8;
  for (int layer = 0; layer < 48; ++layer) {
    routing::SheetLayer each;
    each.popularity.assign(128, 0);
    for (size_t e = 0; e < 16; ++e) each.popularity[e] = 1.0 / 16;  // 16 experts get all tokens
    sheet.layers.push_back(each);
  }
  const ModelWork measured = MakeModelWork(f.spec, &sheet);
  const ServingPoint point{measured, f.device, {}, f.point->fabric, AtPeak(), {}};
  EXPECT_NEAR(DecodeStep(point, {256, 1024, 1}).distinct_experts, 16, 1e-6);
  EXPECT_GT(DecodeStep(*f.point, {256, 1024, 1}).distinct_experts, 120);
}

// 48 layers of width 2048; 1024 tokens in bf16 are 4 MiB, of which two ranks send one whole in an all-reduce.
TEST(TimeToFirstToken, ByHand) {
  Fixture f("Qwen/Qwen3-30B-A3B");
  ServingPoint point = *f.point;
  EXPECT_DOUBLE_EQ(PromptCollectiveSeconds(point, 1024), 0);
  point.deployment = {2, 1, 1, 1};
  point.fabric.node_bytes_per_s = 100e9;
  EXPECT_NEAR(PromptCollectiveSeconds(point, 1024), 2 * 48 * 1024 * 2048 * 2 / 100e9, 1e-12);
  StepFactors& factors = point.factors = AtPeak();
  factors.prefill_collective_time = 3;
  factors.bunching = 0.1;
  factors.admission_s = 0.002;
  factors.prefill_layer_s = 1e-4;
  factors.waiting_steps = 5;
  factors.ttft_factor = 1.5;
  const double prompt = PromptReadSeconds(point, 1024) + 3 * PromptCollectiveSeconds(point, 1024);  // read longer than computed
  EXPECT_NEAR(TimeToFirstToken(point, 11, 1024, 0, 0.01), 2 * prompt + 1.5 * (0.002 + 0.0048 + 0.05), 1e-12);
  point.poll_steps = 21;  // ten more steps on average
  EXPECT_NEAR(TimeToFirstToken(point, 11, 1024, 0, 0.01), 2 * prompt + 1.5 * (0.002 + 0.0048 + 0.05) + 0.1, 1e-12);
  EXPECT_NEAR(TimeToFirstToken(point, 1, 1024, 0, 0.01), prompt + 1.5 * (0.002 + 0.0048), 1e-12);  // alone
}

// A short prompt is bound by the weights that its pass reads: 48 layers of 128 experts of 3 x 2048 x 768 in bf16, nearly all of
// them at 128 tokens, and the rest of the weights, at 3.35 TB/s. A long one by its FLOPs. Twice 8,192 tokens are two passes.
TEST(PromptReadSeconds, ByHand) {
  Fixture f("Qwen/Qwen3-30B-A3B");
  const double all = 48.0 * 128 * 3 * 2048 * 768 * 2 / 3.35e12, rest = (f.work.sharded_bytes + f.work.whole_bytes) / 3.35e12;
  const double read = PromptReadSeconds(*f.point, 8192);
  EXPECT_NEAR(read, all + rest, 0.02 * all);
  EXPECT_NEAR(PromptReadSeconds(*f.point, 16384), 2 * read, 1e-12);
  EXPECT_LT(PromptReadSeconds(*f.point, 16), read);
  EXPECT_EQ(PromptReadSeconds(*f.point, 0), 0);
  EXPECT_DOUBLE_EQ(PromptServiceSeconds(*f.point, 64, 0), PromptReadSeconds(*f.point, 64));
  EXPECT_DOUBLE_EQ(PromptServiceSeconds(*f.point, 8192, 0), PromptSeconds(*f.point, 8192, 0));
  f.point->factors.weight_stream = 2;
  EXPECT_NEAR(PromptReadSeconds(*f.point, 8192), read + rest, 1e-12);
}

// Tiles: 14 vector operations a parameter and doubling of the tokens, at 67 TFLOP/s in fp32. One token needs none.
TEST(DecodeStep, TilesByHand) {
  Fixture f("mistralai/Mixtral-8x7B-v0.1");
  StepFactors& factors = f.point->factors;
  const double bytes_s = DecodeStep(*f.point, {64, 0, 1}).experts_s;
  factors.tile_operations = 14;
  const StepTime step = DecodeStep(*f.point, {64, 0, 1});
  const double params = 32.0 * step.distinct_experts * 3 * 4096 * 14336;
  EXPECT_NEAR(step.experts_s, params * 14 * 6 / *f.device.peaks.fp32, 1e-9);  // 2^6 tokens
  EXPECT_GT(step.experts_s, bytes_s);
  EXPECT_TRUE(step.compute_bound);
  factors.tile_operations = 0;
  const double one = DecodeStep(*f.point, {1, 0, 1}).experts_s;
  factors.tile_operations = 14;
  EXPECT_DOUBLE_EQ(DecodeStep(*f.point, {1, 0, 1}).experts_s, one);
  // A prompt of 512 tokens is one pass, one of 1,024 two.
  EXPECT_NEAR(PromptTileSeconds(*f.point, 512), 32.0 * 8 * 3 * 4096 * 14336 * 14 * 9 / *f.device.peaks.fp32, 1e-3);
  EXPECT_NEAR(PromptTileSeconds(*f.point, 1024), 2 * PromptTileSeconds(*f.point, 512), 1e-12);
  // Each sequence's logits are looked through by the host.
  factors.logit_s = 1e-9;
  EXPECT_NEAR(DecodeStep(*f.point, {64, 0, 1}).sequences_s, 64 * 32000e-9, 1e-12);
}

// A processor fetches a row of weights and then multiplies it: bytes at 460.8 GB/s, and behind them FLOPs at 7.4 TFLOP/s in
// fp32.
TEST(DecodeStep, VectorUnitsByHand) {
  Fixture f("mistralai/Mixtral-8x7B-v0.1", "epyc-9654");
  StepFactors& factors = f.point->factors;
  factors.vector_time = 2;
  factors.packed_time = 1.5;
  const double params = 32 * 2 * 3 * 4096.0 * 14336;  // two of eight experts
  const StepTime one = DecodeStep(*f.point, {1, 0, 1});
  EXPECT_NEAR(one.experts_s, params * 2 / 460.8e9 + 2 * params / 7.4e12 * 2, 1e-9);
  EXPECT_FALSE(one.compute_bound);
  const double dense = f.work.sharded_params + f.work.head_params;
  const double bytes = f.work.sharded_bytes + f.work.whole_bytes + f.work.embedding_row_bytes;
  EXPECT_NEAR(one.weights_s, bytes / 460.8e9 + 2 * dense / 7.4e12 * 2, 1e-9);
  f.work.expert_type = "MXFP4";  // interleaved rows
  EXPECT_NEAR(DecodeStep(*f.point, {1, 0, 1}).experts_s, params * 2 / 460.8e9 + 2 * params / 7.4e12 * 1.5, 1e-9);
  EXPECT_TRUE(DecodeStep(*f.point, {64, 0, 1}).compute_bound);
  // A prompt of two passes reads twice, and multiplies once for each token; its attention and head as the other matrices.
  const double routed = 2 * 1024 * f.work.ActiveRoutedParams();
  const double vectors = (routed * 1.5 + (PromptFlops(f.work, 1024, 0) - routed) * 2) / 7.4e12;
  EXPECT_NEAR(PromptVectorSeconds(*f.point, 1024, 0), vectors, 1e-9);
  EXPECT_NEAR(PromptReadSeconds(*f.point, 1024), 2 * PromptReadSeconds(*f.point, 512), 1e-12);
  EXPECT_NEAR(PromptServiceSeconds(*f.point, 1024, 0), PromptReadSeconds(*f.point, 1024) + vectors, 1e-12);
}

TEST(RowsInterleaved, ByNameInAnyCase) {
  for (const char* type : {"Q4_0", "q4_0", "Q4_K", "q4_k_m", "IQ4_NL", "MXFP4", "mxfp4"})
    EXPECT_TRUE(RowsInterleaved(type)) << type;
  for (const char* type : {"Q8_0", "Q5_K", "Q4_1", "BF16", "q4", ""}) EXPECT_FALSE(RowsInterleaved(type)) << type;
}

// 32 layers of 50 us; a step of one token replays its kernels in a quarter of that, and its host takes 2 ms.
TEST(DecodeStep, ReplayByHand) {
  Fixture f("mistralai/Mixtral-8x7B-v0.1");
  f.point->factors.layer_s = 50e-6;
  f.point->factors.replay_time = 0.25;
  f.point->factors.replay_s = 2e-3;
  EXPECT_NEAR(DecodeStep(*f.point, {1, 0, 1}).latency_s, 32 * 50e-6 / 4 + 2e-3, 1e-12);
  EXPECT_NEAR(DecodeStep(*f.point, {2, 0, 1}).latency_s, 32 * 50e-6, 1e-12);
  EXPECT_NEAR(DecodeStep(*f.point, {1.5, 0, 1}).latency_s, (32 * 50e-6 * 1.25 + 2e-3) / 2, 1e-12);
}

// Five clients whose prompts come at once: the k-th waits for k of them, 3 on average, and 2 are computed between its own and
// the first step of all. Together a request takes 5 prompts, as if they had come one at a time.
TEST(TimeToFirstToken, WavesByHand) {
  Fixture f("Qwen/Qwen3-30B-A3B");
  StepFactors& factors = f.point->factors;
  factors.prompt_waves = 1;
  factors.bunching = 0.1;
  factors.waiting_steps = 5;
  factors.admission_s = 0.002;
  factors.prefill_layer_s = 1e-4;
  factors.ttft_factor = 1.5;
  const double prompt = PromptServiceSeconds(*f.point, 1024, 0) + 1.5 * (0.002 + 0.0048);
  EXPECT_NEAR(TimeToFirstToken(*f.point, 5, 1024, 0, 0.01), 3 * prompt, 1e-12);
  EXPECT_NEAR(TimeToFirstToken(*f.point, 1, 1024, 0, 0.01), prompt, 1e-12);
  EXPECT_NEAR(PrefillShare(*f.point, 4, 1024, 0, 100), 2 * prompt / 100, 1e-12);
  EXPECT_NEAR(PromptsShare(*f.point, 5, 1024, 0, 100), 5 * prompt / 100, 1e-12);
  EXPECT_EQ(PrefillShare(*f.point, 0, 1024, 0, 100), 0);
  Load load;
  load.clients = 5;
  load.input_tokens = 1024;
  load.output_tokens = 100;
  const Serving serving = Serve(*f.point, load, 1e6);
  const double step = DecodeStep(*f.point, {5, load.MeanContext(), 1}).Total();  // all five decode together
  EXPECT_NEAR(serving.tpot_s, step + 2 * prompt / 100, 1e-9);
  EXPECT_NEAR(serving.e2e_s, 5 * prompt + 100 * step, 1e-6);
  EXPECT_LT(serving.decoding, 5);                // on average: prompts take their time, too
  const Serving two = Serve(*f.point, load, 2);  // places for two
  EXPECT_NEAR(two.tpot_s, DecodeStep(*f.point, {2, load.MeanContext(), 1}).Total() + prompt / 2 / 100, 1e-9);
}

TEST(SpeculativeDecoding, ChecksDraftsForFewerBytesThanSteps) {
  Fixture f("Qwen/Qwen3-30B-A3B");
  Load load;
  load.clients = 1;
  const double plain = Tpot(*f.point, load, 1);
  load.drafted_tokens = 3;
  load.accepted_tokens = 0;
  EXPECT_GT(Tpot(*f.point, load, 1), plain);  // nothing accepted: only the drafts' experts are added
  load.accepted_tokens = 3;
  const double best = Tpot(*f.point, load, 1);
  EXPECT_LT(best, plain);
  EXPECT_GT(best, plain / 4);  // more experts are read than for one token
}

TEST(Offload, ByHand) {
  Offload offload;
  offload.residence = Residence::kExecute;
  offload.host = {1e12, 100e9, 10e12, 25e9, 5e9};
  offload.device_share = 0;
  offload.dram_share = 1;
  StepFactors at_peak;
  // 8 experts of 10 MB from 100 GB/s; 8 assignments of 10 MFLOP at 10 TFLOP/s are faster.
  EXPECT_NEAR(HostSeconds(offload, at_peak, 1, 8, 128, 10e6, 10e6, 8), 8 * 10e6 / 100e9, 1e-12);
  EXPECT_NEAR(HostSeconds(offload, at_peak, 1, 8, 128, 10e6, 1e10, 8), 8 * 1e10 / 10e12, 1e-12);
  offload.residence = Residence::kCopy;
  EXPECT_NEAR(HostSeconds(offload, at_peak, 2, 8, 128, 10e6, 10e6, 8), 8 * 10e6 / 50e9, 1e-12);
  offload.residence = Residence::kSsd;
  offload.dram_share = 0;
  EXPECT_NEAR(HostSeconds(offload, at_peak, 1, 8, 128, 10e6, 10e6, 8), 8 * 10e6 / 100e9 + 8 * 10e6 / 5e9, 1e-12);
  offload.device_share = 1;
  offload.residence = Residence::kExecute;
  EXPECT_DOUBLE_EQ(HostSeconds(offload, at_peak, 1, 8, 128, 10e6, 10e6, 8), 0);
  // With every expert read, the share that lies here is what is served here.
  EXPECT_DOUBLE_EQ(ServedShare(metrics::Placement::kStatic, 0.5, 128, 128), 0.5);
  EXPECT_DOUBLE_EQ(ServedShare(metrics::Placement::kStatic, 0.5, 8, 128), std::pow(0.5, 0.8));
  // 21 TFLOP/s, half a byte a parameter, 25 GB/s: 210 tokens an expert (docs/planner.md).
  EXPECT_NEAR(CopyCrossover(21e12, 0.5, 1, 25e9), 210, 1e-9);
}

}  // namespace
}  // namespace moecap::planner
