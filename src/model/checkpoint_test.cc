// Checkpoints of a few tensors each: headers without data, as far as a reader needs them.
#include "model/checkpoint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "model/checkpoint_modules.h"
#include "model/open_model.h"

namespace moecap::model {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using enum TensorClass;

int64_t BitsOf(std::string_view dtype) {
  if (dtype == "F4") return 4;
  if (dtype == "BF16" || dtype == "F16") return 16;
  return dtype == "F32" || dtype == "I32" || dtype == "U32" ? 32 : dtype == "I64" ? 64 : 8;
}

// The header of a safetensors file, tensor by tensor.
class Header {
 public:
  void Add(const std::string& name, const std::string& dtype, std::vector<int64_t> shape) {
    int64_t elements = 1;
    for (const int64_t size : shape) elements *= size;
    const int64_t bytes = elements * BitsOf(dtype) / 8;
    text_ += fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", text_.empty() ? "" : ",",
                         name, dtype, fmt::join(shape, ","), end_, end_ + bytes);
    end_ += bytes;
  }
  std::string File() const {
    const std::string header = "{" + text_ + "}";
    std::string bytes(8, '\0');
    const uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header;
  }
  std::vector<SafetensorsTensor> Tensors() const {
    const std::string file = File();
    auto parsed = ParseSafetensorsPrefix(std::as_bytes(std::span(file)));
    EXPECT_TRUE(parsed.ok() && parsed->has_value());
    return (*parsed)->tensors;
  }
  int64_t bytes() const { return end_; }

 private:
  std::string text_;
  int64_t end_ = 0;
};

// hidden 64, 4 query and 2 KV heads of 32, 2 experts of 96, top-1, vocabulary 100, 1 layer: 12288 + 12288 (attention) ...
constexpr const char* kConfig =
    R"({"model_type":"qwen3_vl_moe","text_config":{"model_type":"qwen3_vl_moe_text","hidden_size":64,
  "num_hidden_layers":1,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":32,"num_experts":2,"num_experts_per_tok":1,
  "moe_intermediate_size":96,"vocab_size":100,"dtype":"bfloat16","tie_word_embeddings":false},
  "quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]}})";

// Attention in bf16 and experts in fp8, whatever the config says; a vision tower and a layer of multi-token prediction.
Header Published() {
  Header h;
  const std::string model = "model.language_model.";
  h.Add(model + "embed_tokens.weight", "BF16", {100, 64});
  h.Add("lm_head.weight", "BF16", {100, 64});
  h.Add(model + "norm.weight", "BF16", {64});
  const std::string layer = model + "layers.0.";
  h.Add(layer + "self_attn.q_proj.weight", "BF16", {128, 64});
  h.Add(layer + "self_attn.k_proj.weight", "BF16", {64, 64});
  h.Add(layer + "self_attn.v_proj.weight", "BF16", {64, 64});
  h.Add(layer + "self_attn.o_proj.weight", "BF16", {64, 128});
  for (const char* norm : {"self_attn.q_norm", "self_attn.k_norm"}) h.Add(layer + norm + ".weight", "BF16", {32});
  for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) h.Add(layer + norm + ".weight", "BF16", {64});
  h.Add(layer + "mlp.gate.weight", "F32", {2, 64});
  for (int e = 0; e < 2; ++e) {
    for (const auto& [name, out, in] : {std::tuple{"gate_proj", 96, 64}, {"up_proj", 96, 64}, {"down_proj", 64, 96}}) {
      const std::string expert = fmt::format("{}mlp.experts.{}.{}", layer, e, name);
      h.Add(expert + ".weight", "F8_E4M3", {out, in});
      h.Add(expert + ".weight_scale_inv", "F32", {1, 1});
    }
  }
  h.Add("model.visual.blocks.0.attn.qkv.weight", "BF16", {30, 10});
  h.Add(model + "layers.1.eh_proj.weight", "BF16", {64, 128});
  return h;
}

class CheckpointFolder : public testing::Test {
 protected:
  ModelSpec Open() const {
    auto spec = OpenModel(dir_.path().string(), {.weights_alone = true});
    EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
    return *std::move(spec);
  }
  TempDir dir_;
};

TEST_F(CheckpointFolder, TensorsAreTheTruth) {
  dir_.Write("config.json", kConfig);
  const Header header = Published();
  dir_.Write("model.safetensors", header.File());
  const ModelSpec spec = Open();
  EXPECT_EQ(spec.weights_source, "tensors");
  const WeightSet classes = spec.ByClass();
  EXPECT_EQ(classes[kAttention].params, 2 * 128 * 64 + 2 * 64 * 64);
  EXPECT_EQ(classes[kAttention].BitsPerWeight(), 16);
  EXPECT_EQ(classes[kRoutedExpert].params, 2 * 3 * 96 * 64);
  EXPECT_EQ(classes[kRoutedExpert].bytes, 2 * 3 * (96 * 64 + 4));
  EXPECT_EQ(classes[kRouter].BitsPerWeight(), 32);
  EXPECT_EQ(spec.mtp.Params(), 64 * 128);
  ASSERT_EQ(spec.towers.size(), 1U);
  EXPECT_EQ(spec.towers[0].name, "vision");
  EXPECT_EQ(spec.towers[0].bytes, 600);
  EXPECT_FALSE(spec.towers[0].estimated);
  EXPECT_EQ(spec.ResidentBytes(), static_cast<double>(header.bytes()));
  EXPECT_EQ(spec.layers[0].attention.kv_heads, 2) << "what the layer computes stays the config's";
  EXPECT_THAT(spec.notes,
              ElementsAre(AllOf(HasSubstr("the tensors hold"), HasSubstr("attention 16.00 bits a weight instead of 8"))));
  ASSERT_EQ(spec.expert_tensors.size(), 3U);
  EXPECT_EQ(spec.expert_tensors[0].name, "layers.*.mlp.experts.*.down_proj");
  EXPECT_EQ(spec.expert_tensors[0].tensors, 2);
  EXPECT_EQ(spec.type_by_class[static_cast<size_t>(kRoutedExpert)], "fp8");
}

TEST_F(CheckpointFolder, AnUnknownFamilyIsCountedByItsTensors) {
  dir_.Write("config.json", R"({"model_type":"brand_new_moe","num_experts_per_tok":1})");
  dir_.Write("model.safetensors", Published().File());
  const ModelSpec spec = Open();
  EXPECT_FALSE(spec.computes);
  EXPECT_EQ(spec.model_type, "brand_new_moe");
  EXPECT_EQ(spec.Experts(), 2);
  EXPECT_EQ(spec.TopK(), 1);
  EXPECT_EQ(spec.ByClass()[kRoutedExpert].params, 2 * 3 * 96 * 64);
  EXPECT_EQ(spec.ActiveParams(), spec.TotalParams() - 3 * 96 * 64);
  EXPECT_THAT(spec.notes, ElementsAre(HasSubstr("'brand_new_moe' is not known")));
  // Who needs more than weights is refused, and so is everyone without its headers.
  EXPECT_THAT(OpenModel(dir_.path().string()).error().message, HasSubstr("brand_new_moe"));
  std::filesystem::remove(dir_ / "model.safetensors");
  EXPECT_THAT(OpenModel(dir_.path().string()).error().message, HasSubstr("brand_new_moe"));
}

TEST_F(CheckpointFolder, AnIndexAloneTellsWhichModulesAreQuantised) {
  dir_.Write("config.json", kConfig);
  std::string map;
  for (const SafetensorsTensor& tensor : Published().Tensors())
    map += fmt::format("{}\"{}\":\"model-00001-of-00002.safetensors\"", map.empty() ? "" : ",", tensor.name);
  dir_.Write("model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":{" + map + "}}");
  const ModelSpec spec = Open();
  EXPECT_EQ(spec.weights_source, "config");
  EXPECT_EQ(spec.ByClass()[kAttention].BitsPerWeight(), 16);
  EXPECT_LT(spec.ByClass()[kRoutedExpert].BitsPerWeight(), 8.1);
  EXPECT_THAT(spec.notes, ElementsAre(HasSubstr("disagree")));
  // One of two shards: no more than the index.
  dir_.Write("model-00001-of-00002.safetensors", "version https://git-lfs.github.com/spec/v1");
  EXPECT_EQ(Open().weights_source, "config");
}

TEST_F(CheckpointFolder, AMissingHeadOrAnotherNumberOfLayersIsTold) {
  std::string config = kConfig;
  config.replace(config.find("\"num_hidden_layers\":1"), 21, "\"num_hidden_layers\":3");
  dir_.Write("config.json", config);
  dir_.Write("model.safetensors", Published().File());
  const ModelSpec spec = Open();
  EXPECT_EQ(spec.weights_source, "config");
  EXPECT_THAT(spec.notes, testing::Contains(HasSubstr("config.json means 3")));
}

// Every way to store a matrix of 64 x 128 counts 8192 parameters, scales as bytes.
TEST(Checkpoint, PackedTypes) {
  struct Case {
    std::string type;
    std::vector<std::tuple<std::string, std::string, std::vector<int64_t>>> tensors;
    double bytes;
    PackingHints hints = {};
  };
  const std::string m = "model.layers.0.mlp.experts.0.up_proj";
  const std::vector<Case> cases = {
      {"bf16", {{m + ".weight", "BF16", {64, 128}}}, 16384},
      {"fp8", {{m + ".weight", "F8_E4M3", {64, 128}}, {m + ".weight_scale", "F32", {}}, {m + ".input_scale", "F32", {}}}, 8200},
      {"mxfp8", {{m + ".weight", "F8_E4M3", {64, 128}}, {m + ".weight_scale_inv", "U8", {64, 4}}}, 8192 + 256},
      {"nvfp4",
       {{m + ".weight", "U8", {64, 64}}, {m + ".weight_scale", "F8_E4M3", {64, 8}}, {m + ".weight_scale_2", "F32", {}}},
       4096 + 512 + 4},
      {"nvfp4",
       {{m + ".weight_packed", "U8", {64, 64}},
        {m + ".weight_scale", "F8_E4M3", {64, 8}},
        {m + ".weight_global_scale", "F32", {1}}},
       4096 + 512 + 4},
      {"mxfp4", {{m + ".weight", "I8", {64, 64}}, {m + ".scale", "F8_E8M0", {64, 4}}}, 4096 + 256},
      {"mxfp4", {{m + "_blocks", "U8", {1, 64, 4, 16}}, {m + "_scales", "U8", {1, 64, 4}}}, 4096 + 256},
      {"int8", {{m + ".weight", "I8", {64, 128}}, {m + ".weight_scale", "F32", {64, 1}}}, 8192 + 256},
      {"int4",
       {{m + ".qweight", "I32", {16, 64}},
        {m + ".qzeros", "I32", {1, 8}},
        {m + ".scales", "F16", {1, 64}},
        {m + ".g_idx", "I32", {128}}},
       4096 + 32 + 128 + 512},
      {"int8",
       {{m + ".qweight", "I32", {32, 64}}, {m + ".scales", "F16", {1, 64}}, {m + ".g_idx", "I32", {128}}},
       8192 + 128 + 512},
      {"int4",
       {{m + ".qweight", "I32", {128, 8}}, {m + ".qzeros", "I32", {1, 8}}, {m + ".scales", "F16", {1, 64}}},
       4096 + 32 + 128},
      {"int4",
       {{m + ".weight_packed", "I32", {64, 16}}, {m + ".weight_scale", "BF16", {64, 4}}, {m + ".weight_shape", "I64", {2}}},
       4096 + 512 + 16,
       {4, 32}},
      {"int8",
       {{m + ".weight", "U32", {64, 32}}, {m + ".scales", "BF16", {64, 2}}, {m + ".biases", "BF16", {64, 2}}},
       8192 + 512,
       {4, 64}},
      {"nf4",
       {{m + ".weight", "U8", {4096, 1}}, {m + ".weight.absmax", "F32", {128}}, {m + ".weight.quant_map", "F32", {16}}},
       4096 + 512 + 64},
  };
  for (const Case& c : cases) {
    Header header;
    for (const auto& [name, dtype, shape] : c.tensors) header.Add(name, dtype, shape);
    const std::vector<StoredModule> modules = GatherModules(header.Tensors(), c.hints);
    ASSERT_EQ(modules.size(), 1U) << std::get<0>(c.tensors[0]) << " " << c.type;
    EXPECT_EQ(modules[0].params, 8192) << c.type << " " << std::get<1>(c.tensors[0]);
    EXPECT_EQ(modules[0].type, c.type);
    EXPECT_EQ(modules[0].bytes, c.bytes) << c.type;
    EXPECT_TRUE(modules[0].matrix);
    EXPECT_EQ(PlaceOf(modules[0].name, 1).tensor_class, kRoutedExpert);
  }
}

TEST(Checkpoint, ModulesFindTheirPlace) {
  struct Case {
    const char* name;
    TensorClass tensor_class;
    int layer;
    Part part = Part::kText;
  };
  for (const Case& c : std::vector<Case>{
           {"model.language_model.layers.3.linear_attn.in_proj_qkvz", kAttention, 3},
           {"model.layers.3.linear_attn.norm", kNorm, 3},
           {"backbone.layers.2.mixer.in_proj", kAttention, 2},
           {"backbone.layers.2.mixer.up_proj", kDenseFfn, 2},
           {"backbone.layers.2.mixer.experts.5.up_proj", kRoutedExpert, 2},
           {"backbone.layers.2.mixer.shared_experts.up_proj", kSharedExpert, 2},
           {"backbone.layers.2.mixer.gate", kRouter, 2},
           {"backbone.layers.2.mixer.fc1_latent_proj", kOther, 2},
           {"model.layers.1.block_sparse_moe.gate", kRouter, 1},
           {"model.layers.1.block_sparse_moe.experts.0.w1", kRoutedExpert, 1},
           {"model.layers.1.mlp.gate.e_score_correction_bias", kRouter, 1},
           {"model.layers.1.mlp.gate_proj", kDenseFfn, 1},
           {"model.layers.1.mlp.shared_expert_gate", kSharedExpert, 1},
           {"layers.1.attn.compressor.wkv", kAttention, 1},
           {"layers.1.hc_attn_fn", kOther, 1},
           {"layers.1.ffn.shared_experts.w1", kSharedExpert, 1},
           {"layers.9.ffn.experts.3.w1", kRoutedExpert, 9, Part::kMtp},
           {"model.layers.8.shared_head.head", kEmbedding, 8, Part::kMtp},
           {"mtp.fc", kOther, -1, Part::kMtp},
           {"mtp.0.ffn.experts.3.w1", kRoutedExpert, 0, Part::kMtp},
           {"mtp.0.ffn.shared_experts.w2", kSharedExpert, 0, Part::kMtp},
           {"mtp.0.attn.wq_a", kAttention, 0, Part::kMtp},
           {"mtp.0.e_proj", kOther, 0, Part::kMtp},
           {"embed", kEmbedding, -1},
           {"language_model.model.embed_tokens", kEmbedding, -1},
           {"language_model.lm_head", kHead, -1},
           {"model.norm", kNorm, -1},
           {"vision_tower.encoder.layers.0.mlp.fc1", kOther, -1, Part::kTower},
           {"audio_tower.layers.0.fc1", kOther, -1, Part::kTower},
       }) {
    const ModulePlace place = PlaceOf(c.name, 8);
    EXPECT_EQ(place.part, c.part) << c.name;
    if (c.part == Part::kTower) continue;
    EXPECT_EQ(place.layer, c.layer) << c.name;
    EXPECT_EQ(place.tensor_class, c.tensor_class) << c.name << " " << TensorClassName(place.tensor_class);
  }
}

}  // namespace
}  // namespace moecap::model
