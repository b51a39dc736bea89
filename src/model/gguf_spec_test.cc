#include "model/gguf_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/gguf_test_writer.h"

namespace moecap::model {
namespace {

using testing::HasSubstr;

Result<ModelSpec> SpecOf(const GgufTestWriter& writer) {
  const std::string header = writer.Header();
  auto file = ParseGguf(std::as_bytes(std::span(header)));
  if (!file.ok()) return file.error();
  return SpecFromGguf(*file);
}

// hidden 64, 4 query and 2 KV heads of 32, 8 experts of width 96, top-2, vocabulary 100. Two layers.
GgufTestWriter Qwen3MoeFile(const std::string& expert_type = "Q4_0", bool tied = false) {
  GgufTestWriter file;
  file.Text("general.architecture", "qwen3moe");
  file.Text("general.name", "tiny");
  file.U32("qwen3moe.block_count", 2);
  file.U32("qwen3moe.embedding_length", 64);
  file.U32("qwen3moe.context_length", 2048);
  file.U32("qwen3moe.attention.head_count", 4);
  file.U32("qwen3moe.attention.head_count_kv", 2);
  file.U32("qwen3moe.attention.key_length", 32);
  file.U32("qwen3moe.attention.value_length", 32);
  file.U32("qwen3moe.expert_count", 8);
  file.U32("qwen3moe.expert_used_count", 2);
  file.Tensor("token_embd.weight", {64, 100}, "F16");
  file.Tensor("output_norm.weight", {64});
  if (!tied) file.Tensor("output.weight", {64, 100}, "F16");
  for (const std::string blk : {"blk.0.", "blk.1."}) {
    file.Tensor(blk + "attn_norm.weight", {64});
    file.Tensor(blk + "attn_q.weight", {64, 128}, "F16");
    file.Tensor(blk + "attn_k.weight", {64, 64}, "F16");
    file.Tensor(blk + "attn_v.weight", {64, 64}, "F16");
    file.Tensor(blk + "attn_output.weight", {128, 64}, "F16");
    file.Tensor(blk + "attn_q_norm.weight", {32});
    file.Tensor(blk + "attn_k_norm.weight", {32});
    file.Tensor(blk + "ffn_norm.weight", {64});
    file.Tensor(blk + "ffn_gate_inp.weight", {64, 8});
    file.Tensor(blk + "ffn_gate_exps.weight", {64, 96, 8}, expert_type);
    file.Tensor(blk + "ffn_up_exps.weight", {64, 96, 8}, expert_type);
    file.Tensor(blk + "ffn_down_exps.weight", {96, 64, 8}, expert_type);
  }
  return file;
}

TEST(GgufSpec, CountsAQwen3MoeFileTensorByTensor) {
  const auto spec = SpecOf(Qwen3MoeFile());
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->id, "tiny");
  EXPECT_EQ(spec->model_type, "qwen3moe");
  EXPECT_EQ(spec->weight_type, "Q4_0");
  EXPECT_EQ(spec->hidden, 64);
  EXPECT_EQ(spec->vocab, 100);
  EXPECT_EQ(spec->max_context, 2048);
  EXPECT_FALSE(spec->tied_embedding);
  EXPECT_EQ(spec->MoeLayers(), 2);
  EXPECT_EQ(spec->Experts(), 8);
  EXPECT_EQ(spec->TopK(), 2);
  const WeightSet sum = spec->ByClass();
  EXPECT_EQ(sum[TensorClass::kEmbedding].params, 6400);
  EXPECT_EQ(sum[TensorClass::kHead].params, 6400);
  EXPECT_EQ(sum[TensorClass::kAttention].params, 2 * (8192 + 4096 + 4096 + 8192));
  EXPECT_EQ(sum[TensorClass::kNorm].params, 64 + 2 * (64 + 32 + 32 + 64));
  EXPECT_EQ(sum[TensorClass::kRouter].params, 2 * 512);
  EXPECT_EQ(sum[TensorClass::kRoutedExpert].params, 2 * 3 * 64 * 96 * 8);
  EXPECT_EQ(sum[TensorClass::kRoutedExpert].bytes, 2 * 3 * 64 * 96 * 8 * 4.5 / 8);
  EXPECT_EQ(sum[TensorClass::kRouter].bytes, 2 * 512 * 4);
  EXPECT_EQ(sum[TensorClass::kNorm].matrix_params, 0);
  EXPECT_EQ(sum[TensorClass::kAttention].matrix_params, sum[TensorClass::kAttention].params);
  EXPECT_EQ(spec->TotalParams(), 12800 + 49152 + 448 + 1024 + 294912);
  EXPECT_EQ(spec->ActiveParams(), 12800 + 49152 + 448 + 1024 + 294912 / 4);
  EXPECT_EQ(spec->ActiveParamsNoInputEmbedding(), spec->ActiveParams() - 6400);
  EXPECT_EQ(spec->ActiveParamsNoEmbeddings(), spec->ActiveParams() - 12800);
}

// Total parameters and bytes equal the plain sum over the tensor table, whatever the classes.
TEST(GgufSpec, ClassesLoseNothing) {
  const std::string header = Qwen3MoeFile("Q8_0").Header();
  const auto file = ParseGguf(std::as_bytes(std::span(header)));
  int64_t params = 0;
  int64_t bytes = 0;
  for (const GgufTensor& tensor : file->tensors) {
    params += tensor.elements;
    bytes += tensor.bytes;
  }
  const auto spec = SpecFromGguf(*file);
  EXPECT_EQ(spec->TotalParams(), params);
  EXPECT_EQ(spec->WeightBytes(), static_cast<double>(bytes));
  EXPECT_TRUE(spec->notes.empty());
}

TEST(GgufSpec, KvCacheFollowsTheKeyAndValueTensors) {
  const auto spec = SpecOf(Qwen3MoeFile());
  EXPECT_EQ(spec->KvElementsPerToken(), 2 * (64 + 64));
  EXPECT_EQ(spec->ResidentKvBytes(10), 10 * 256 * 2);
  const AttentionSpec& attention = spec->layers[0].attention;
  EXPECT_EQ(attention.kind, AttentionKind::kGqa);
  EXPECT_EQ(attention.query_heads, 4);
  EXPECT_EQ(attention.kv_heads, 2);
  EXPECT_EQ(attention.caches.at(0).flops_per_entry, 4 * 4 * 32);
}

TEST(GgufSpec, AMissingOutputTensorMeansTiedEmbeddings) {
  const auto spec = SpecOf(Qwen3MoeFile("Q4_0", true));
  EXPECT_TRUE(spec->tied_embedding);
  EXPECT_EQ(spec->Head().params, 6400);
  EXPECT_EQ(spec->ActiveParamsNoInputEmbedding(), spec->ActiveParams());
}

TEST(GgufSpec, MissingOrContradictingKeysAreNamed) {
  GgufTestWriter file;
  file.Text("general.architecture", "qwen3moe");
  EXPECT_THAT(SpecOf(file).error().message, HasSubstr("qwen3moe.block_count"));
  EXPECT_THAT(SpecOf(GgufTestWriter()).error().message, HasSubstr("general.architecture"));

  GgufTestWriter no_k;
  no_k.Text("general.architecture", "a");
  no_k.U32("a.block_count", 1);
  no_k.U32("a.expert_count", 4);
  no_k.Tensor("token_embd.weight", {64, 100});
  no_k.Tensor("blk.0.ffn_down_exps.weight", {32, 64, 4});
  EXPECT_THAT(SpecOf(no_k).error().message, HasSubstr("a.expert_used_count"));
  no_k.U32("a.expert_used_count", 5);
  EXPECT_THAT(SpecOf(no_k).error().message, HasSubstr("more than the 4 experts"));
}

TEST(GgufSpec, ExpertCountMustFitTheTensor) {
  GgufTestWriter file;
  file.Text("general.architecture", "a");
  file.U32("a.block_count", 1);
  file.U32("a.expert_count", 8);
  file.U32("a.expert_used_count", 2);
  file.Tensor("token_embd.weight", {64, 100});
  file.Tensor("blk.0.ffn_down_exps.weight", {32, 64, 4});
  EXPECT_THAT(SpecOf(file).error().message, testing::AllOf(HasSubstr("a.expert_count"), HasSubstr("holds 4 experts")));
}

TEST(GgufSpec, ALayerWithoutTensorsMeansAMissingPart) {
  GgufTestWriter file;
  file.Text("general.architecture", "a");
  file.U32("a.block_count", 2);
  file.Tensor("token_embd.weight", {64, 100});
  file.Tensor("blk.0.ffn_down.weight", {32, 64});
  EXPECT_THAT(SpecOf(file).error().message, HasSubstr("layer 1 has no tensors"));
}

// MLA with split kv_b, one dense layer, shared expert, router bias, one MTP layer.
TEST(GgufSpec, ReadsDeepseekMla) {
  GgufTestWriter file;
  file.Text("general.architecture", "deepseek2");
  file.U32("deepseek2.block_count", 3);
  file.U32("deepseek2.nextn_predict_layers", 1);
  file.U32("deepseek2.attention.head_count", 4);
  file.U32("deepseek2.attention.head_count_kv", 1);
  file.U32("deepseek2.attention.kv_lora_rank", 32);
  file.U32("deepseek2.attention.key_length", 48);
  file.U32("deepseek2.attention.key_length_mla", 24);
  file.U32("deepseek2.attention.value_length_mla", 20);
  file.U32("deepseek2.expert_count", 8);
  file.U32("deepseek2.expert_used_count", 2);
  file.U32("deepseek2.expert_shared_count", 1);
  file.Tensor("token_embd.weight", {64, 100});
  file.Tensor("output.weight", {64, 100});
  for (const std::string blk : {"blk.0.", "blk.1.", "blk.2."}) {
    file.Tensor(blk + "attn_q.weight", {64, 96});
    file.Tensor(blk + "attn_kv_a_mqa.weight", {64, 48});
    file.Tensor(blk + "attn_kv_a_norm.weight", {32});
    file.Tensor(blk + "attn_k_b.weight", {8, 32, 4});
    file.Tensor(blk + "attn_v_b.weight", {32, 20, 4});
    file.Tensor(blk + "attn_output.weight", {80, 64});
  }
  file.Tensor("blk.0.ffn_down.weight", {128, 64});
  file.Tensor("blk.1.ffn_gate_inp.weight", {64, 8});
  file.Tensor("blk.1.exp_probs_b.bias", {8});
  file.Tensor("blk.1.ffn_down_exps.weight", {32, 64, 8});
  file.Tensor("blk.1.ffn_down_shexp.weight", {32, 64});
  file.Tensor("blk.2.nextn.eh_proj.weight", {128, 64});
  file.Tensor("blk.2.nextn.embed_tokens.weight", {64, 100});
  const auto spec = SpecOf(file);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  ASSERT_EQ(spec->layers.size(), 2U);
  const AttentionSpec& attention = spec->layers[0].attention;
  EXPECT_EQ(attention.kind, AttentionKind::kMla);
  EXPECT_EQ(attention.caches.at(0).elements, 48);
  EXPECT_EQ(attention.caches.at(0).flops_per_entry, 2 * 4 * (24 + 20));
  EXPECT_EQ(attention.caches.at(0).absorbed_flops_per_entry, 2 * 4 * (2 * 32 + 16));
  EXPECT_EQ(spec->KvElementsPerToken(), 2 * 48);
  EXPECT_EQ(spec->layers[0].ffn.dense_width, 128);
  EXPECT_FALSE(spec->layers[0].ffn.moe());
  EXPECT_EQ(spec->layers[1].ffn.shared_experts, 1);
  EXPECT_EQ(spec->layers[1].ffn.shared_width, 32);
  EXPECT_EQ(spec->layers[1].weights[TensorClass::kRouter].params, 512 + 8);
  EXPECT_EQ(spec->layers[1].weights[TensorClass::kRouter].matrix_params, 512);
  EXPECT_EQ(spec->mtp_layers, 1);
  EXPECT_EQ(spec->mtp_copy_params, 6400);
  EXPECT_EQ(spec->mtp.Params(), 64 * 96 + 64 * 48 + 32 + 8 * 32 * 4 + 32 * 20 * 4 + 80 * 64 + 128 * 64);
}

// gpt-oss: expert biases are not matrices; every second layer slides; sinks belong to the attention.
TEST(GgufSpec, ReadsWindowsBiasesAndSinks) {
  GgufTestWriter file;
  file.Text("general.architecture", "gpt-oss");
  file.U32("gpt-oss.block_count", 2);
  file.U32("gpt-oss.attention.head_count", 4);
  file.U32("gpt-oss.attention.head_count_kv", 1);
  file.U32("gpt-oss.attention.key_length", 16);
  file.U32("gpt-oss.attention.value_length", 16);
  file.U32("gpt-oss.attention.sliding_window", 128);
  file.U32("gpt-oss.expert_count", 4);
  file.U32("gpt-oss.expert_used_count", 2);
  file.Tensor("token_embd.weight", {64, 100});
  for (const std::string blk : {"blk.0.", "blk.1."}) {
    file.Tensor(blk + "attn_q.weight", {64, 64});
    file.Tensor(blk + "attn_q.bias", {64});
    file.Tensor(blk + "attn_k.weight", {64, 16});
    file.Tensor(blk + "attn_v.weight", {64, 16});
    file.Tensor(blk + "attn_sinks.weight", {4});
    file.Tensor(blk + "ffn_down_exps.weight", {32, 64, 4}, "MXFP4");
    file.Tensor(blk + "ffn_down_exps.bias", {64, 4});
  }
  const auto spec = SpecOf(file);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->weight_type, "MXFP4");
  EXPECT_EQ(spec->layers[0].attention.caches.at(0).window, 128);
  EXPECT_EQ(spec->layers[1].attention.caches.at(0).window, 0);
  EXPECT_EQ(spec->KvElementsPerToken(), 32);
  EXPECT_EQ(spec->ResidentKvBytes(1000), (128 + 1000) * 32 * 2);
  const Weights& routed = spec->layers[0].weights[TensorClass::kRoutedExpert];
  EXPECT_EQ(routed.params, 32 * 64 * 4 + 64 * 4);
  EXPECT_EQ(routed.matrix_params, 32 * 64 * 4);
  EXPECT_EQ(routed.bytes, 32 * 64 * 4 * 4.25 / 8 + 64 * 4 * 4);
  EXPECT_EQ(spec->layers[0].weights[TensorClass::kAttention].params, 64 * 64 + 64 + 2 * 64 * 16 + 4);
}

TEST(GgufSpec, AWindowWithoutAKnownPatternIsRefused) {
  GgufTestWriter file;
  file.Text("general.architecture", "newarch");
  file.U32("newarch.block_count", 1);
  file.U32("newarch.attention.head_count", 4);
  file.U32("newarch.attention.sliding_window", 128);
  file.Tensor("token_embd.weight", {64, 100});
  file.Tensor("blk.0.attn_k.weight", {64, 64});
  EXPECT_THAT(SpecOf(file).error().message, HasSubstr("newarch.attention.sliding_window_pattern"));
  file.BoolArray("newarch.attention.sliding_window_pattern", {true});
  const auto spec = SpecOf(file);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->layers[0].attention.caches.at(0).window, 128);
}

// Converters inherit the key from a class whose models slide; the engine's loader of this one never reads it.
TEST(GgufSpec, AWindowThatTheEngineDoesNotReadCutsNothing) {
  for (const char* name : {"phimoe", "qwen3moe", "newarch"}) {
    GgufTestWriter file;
    const std::string key(name);
    file.Text("general.architecture", key);
    file.U32(key + ".block_count", 1);
    file.U32(key + ".context_length", 4096);
    file.U32(key + ".attention.head_count", 4);
    file.U32(key + ".attention.sliding_window", 4096);
    file.Tensor("token_embd.weight", {64, 100});
    file.Tensor("blk.0.attn_k.weight", {64, 64});
    const auto spec = SpecOf(file);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    EXPECT_EQ(spec->layers[0].attention.caches.at(0).window, 0) << name;
  }
}

TEST(GgufSpec, KvHeadsDivideQueryHeads) {
  GgufTestWriter file;
  file.Text("general.architecture", "llama");
  file.U32("llama.block_count", 1);
  file.U32("llama.attention.head_count", 4);
  file.Tensor("token_embd.weight", {64, 100});
  file.Tensor("blk.0.attn_k.weight", {64, 48});
  EXPECT_THAT(SpecOf(file).error().message, HasSubstr("3 KV heads do not divide the 4 query heads"));
}

// A hybrid: per-layer head counts, Mamba 2 state, top-k per layer as an array.
TEST(GgufSpec, ReadsRecurrentStateAndPerLayerArrays) {
  GgufTestWriter file;
  file.Text("general.architecture", "hybrid");
  file.U32("hybrid.block_count", 2);
  file.I32Array("hybrid.attention.head_count", {4, 4});
  file.I32Array("hybrid.attention.head_count_kv", {0, 2});
  file.I32Array("hybrid.expert_used_count", {2, 3});
  file.U32("hybrid.expert_count", 4);
  file.U32("hybrid.ssm.inner_size", 128);
  file.U32("hybrid.ssm.state_size", 16);
  file.U32("hybrid.ssm.conv_kernel", 4);
  file.U32("hybrid.ssm.group_count", 2);
  file.Tensor("token_embd.weight", {64, 100});
  file.Tensor("blk.0.ssm_in.weight", {64, 300});
  file.Tensor("blk.0.ssm_a", {1, 8});
  file.Tensor("blk.0.ffn_down_exps.weight", {32, 64, 4});
  file.Tensor("blk.1.attn_k.weight", {64, 32});
  file.Tensor("blk.1.attn_v.weight", {64, 32});
  file.Tensor("blk.1.ffn_down_exps.weight", {32, 64, 4});
  const auto spec = SpecOf(file);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->layers[0].attention.kind, AttentionKind::kMamba);
  EXPECT_TRUE(spec->layers[0].attention.caches.empty());
  EXPECT_EQ(spec->layers[0].attention.state_elements, 128 * 16);
  EXPECT_EQ(spec->layers[0].attention.conv_state_elements, 3 * (128 + 2 * 2 * 16));
  EXPECT_EQ(spec->layers[0].ffn.top_k, 2);
  EXPECT_EQ(spec->layers[1].ffn.top_k, 3);
  EXPECT_EQ(spec->KvElementsPerToken(), 64);
  EXPECT_EQ(spec->ResidentKvBytes(0), (128 * 16 + 3 * 192) * 4);
}

TEST(GgufSpec, PrecisionCanBeChangedPerClass) {
  auto spec = SpecOf(Qwen3MoeFile("F16"));
  ASSERT_TRUE(spec.ok());
  SetWeightPrecision(*spec, TensorClass::kRoutedExpert, "fp8", 8);
  EXPECT_EQ(spec->weight_type, "fp8");
  EXPECT_EQ(spec->ByClass()[TensorClass::kRoutedExpert].bytes, 294912);
  EXPECT_EQ(spec->ByClass()[TensorClass::kAttention].bytes, 49152 * 2);
}

TEST(GgufSpec, UnknownTensorsAreCountedAndNoted) {
  GgufTestWriter file = Qwen3MoeFile();
  file.Tensor("blk.1.strange.weight", {64, 64});
  const auto spec = SpecOf(file);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->layers[1].weights[TensorClass::kOther].params, 4096);
  EXPECT_THAT(spec->notes, testing::ElementsAre(HasSubstr("strange.weight")));
}

}  // namespace
}  // namespace moecap::model
