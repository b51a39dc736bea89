// Every form of quantization_config, on a tiny model whose matrices can be counted by hand.
#include "model/quantization.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/hf_config.h"
#include "model/kv_format.h"

namespace moecap::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using enum TensorClass;

// hidden 256, 4 query and 2 KV heads of 32, 8 experts of 384, top-2, vocabulary 100, 2 layers.
Json Tiny() {
  return *ParseJson(R"({"model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 384,
    "vocab_size": 100, "torch_dtype": "bfloat16", "tie_word_embeddings": false})");
}

std::string QuantizationError(const Json& config) {
  const auto spec = SpecFromConfig(config, "x");
  return spec.ok() ? "" : spec.error().message;
}

ModelSpec WithQuantization(const std::string& quantization) {
  Json config = Tiny();
  config["quantization_config"] = *ParseJson(quantization);
  auto spec = SpecFromConfig(config, "q");
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
  return *std::move(spec);
}

TEST(Quantization, BitsPerWeightIncludeScales) {
  struct Case {
    std::string config;
    double expert_bits;
    std::string label;
  };
  const std::vector<Case> cases = {
      {R"({"quant_method":"fp8","weight_block_size":[128,128]})", 8 + 32.0 / 16384, "fp8"},
      {R"({"quant_method":"gptq","bits":4,"group_size":128})", 4 + 20.0 / 128 + 32.0 * (2.0 / 384 + 1.0 / 256) / 3,
       "int4-g128"},
      {R"({"quant_method":"awq","bits":4,"group_size":128})", 4.15625, "int4-g128"},
      {R"({"quant_method":"mxfp4"})", 4.25, "mxfp4"},
      {R"({"quant_method":"bitsandbytes","load_in_4bit":true})", 4.5, "nf4"},
      {R"({"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_use_double_quant":true})", 4 + (8 + 0.125) / 64, "nf4"},
      {R"({"quant_method":"modelopt","quant_algo":"NVFP4"})", 4.5 + 32.0 / (256 * 384), "nvfp4"},
      {R"({"quant_method":"modelopt","quant_algo":"FP8"})", 8 + 32.0 / (256 * 384), "fp8"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"g":
         {"targets":["Linear"],"weights":{"num_bits":4,"type":"int",
          "strategy":"group","group_size":128,"symmetric":true}}}})",
       4.125, "int4-g128"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"g":
         {"targets":["Linear"],"weights":{"num_bits":4,"type":"float",
          "strategy":"tensor_group","group_size":16}}}})",
       4.5 + 32.0 / (256 * 384), "nvfp4"},
      {R"({"quant_method":"compressed-tensors","config_groups":{"g":
         {"targets":["Linear"],"input_activations":{"num_bits":8},
          "weights":{"num_bits":8,"type":"int","strategy":"channel"}}}})",
       8 + 32.0 * (2.0 / 256 + 1.0 / 384) / 3, "int8"},
  };
  for (const Case& c : cases) {
    const ModelSpec spec = WithQuantization(c.config);
    EXPECT_EQ(spec.weight_type, c.label) << c.config;
    EXPECT_NEAR(spec.ByClass()[kRoutedExpert].BitsPerWeight(), c.expert_bits, 1e-9) << c.config;
    EXPECT_EQ(spec.ByClass()[kHead].BitsPerWeight(), 16) << c.config;
    EXPECT_EQ(spec.ByClass()[kRouter].BitsPerWeight(), 16) << c.config;
    EXPECT_EQ(spec.ByClass()[kNorm].BitsPerWeight(), 16) << c.config;
  }
}

TEST(Quantization, ExceptionsStayAsTheyAre) {
  const ModelSpec by_name = WithQuantization(R"({"quant_method":"fp8","modules_to_not_convert":["self_attn"]})");
  EXPECT_EQ(by_name.ByClass()[kAttention].BitsPerWeight(), 16);
  EXPECT_LT(by_name.ByClass()[kRoutedExpert].BitsPerWeight(), 9);
  const ModelSpec by_regex = WithQuantization(R"({"quant_method":"awq","ignore":["re:.*q_proj$","re:.*mlp\\.experts.*"]})");
  EXPECT_EQ(by_regex.ByClass()[kRoutedExpert].BitsPerWeight(), 16);
  const double attention = by_regex.ByClass()[kAttention].BitsPerWeight();
  EXPECT_GT(attention, 4.2);
  EXPECT_LT(attention, 16);
  const ModelSpec by_glob = WithQuantization(R"({"quant_method":"fp8","modules_to_not_convert":["model.layers.*.self_attn"]})");
  EXPECT_EQ(by_glob.ByClass()[kAttention].BitsPerWeight(), 16);
}

TEST(Quantization, CacheAndComputeTypesAreSeparate) {
  const ModelSpec spec = WithQuantization(
      R"({"quant_method":"compressed-tensors","kv_cache_scheme":{"num_bits":8,"type":"float"},"config_groups":{"g":
         {"targets":["Linear"],
          "weights":{"num_bits":4,"type":"int","group_size":128}}}})");
  EXPECT_EQ(spec.kv_bits, 8);
  EXPECT_EQ(spec.kv_type, "fp8");
  EXPECT_EQ(spec.compute_type, "bf16") << "weight-only formats multiply in the activation type";
}

TEST(Quantization, UnknownMethodsAreRefused) {
  Json config = Tiny();
  config["quantization_config"] = *ParseJson(R"({"quant_method":"magic"})");
  EXPECT_THAT(QuantizationError(config), HasSubstr("'magic' is not known"));
  config["quantization_config"] = *ParseJson(R"({"bits":4})");
  EXPECT_THAT(QuantizationError(config), HasSubstr("quantization_config.quant_method"));
  config["quantization_config"] = *ParseJson(R"({"quant_method":"fp8","modules_to_not_convert":["re:("]})");
  EXPECT_THAT(QuantizationError(config), HasSubstr("regular expression"));
}

TEST(Quantization, ChoicesByNameCoverWhatCheckpointsOfThatTypeStore) {
  auto spec = SpecFromConfig(Tiny(), "x");
  ApplyWeightChoice(*spec, *WeightChoiceByName("mxfp4"));
  EXPECT_EQ(spec->ByClass()[kRoutedExpert].BitsPerWeight(), 4.25);
  EXPECT_EQ(spec->ByClass()[kAttention].BitsPerWeight(), 16);
  ApplyWeightChoice(*spec, *WeightChoiceByName("FP8"));
  EXPECT_EQ(spec->ByClass()[kAttention].BitsPerWeight(), 8);
  EXPECT_EQ(spec->ByClass()[kHead].BitsPerWeight(), 16);
  ApplyWeightChoice(*spec, *WeightChoiceByName("q4_K"));
  EXPECT_EQ(spec->ByClass()[kHead].BitsPerWeight(), 4.5);
  EXPECT_EQ(spec->ByClass()[kRouter].BitsPerWeight(), 16);
  EXPECT_FALSE(WeightChoiceByName("int3.7").has_value());
}

double Bits(const ModelSpec& spec, TensorClass c) { return spec.ByClass()[c].BitsPerWeight(); }

TEST(Quantization, ModulesAreOneSpellingForAllPatterns) {
  // Of a run of components, a glob and an expression, under every wrapper and with other words for the same block.
  for (const char* pattern :
       {"self_attn", "model.layers.0.self_attn", "language_model.model.layers.0.self_attn*",
        "model.language_model.layers.*.self_attn", R"(re:^language_model\\.model\\.layers\\.\\d+\\.self_attn.*)",
        R"(re:.*\\.attn\\..*)", "layers.0.attention", R"(re:.*self_attn.*)"}) {
    const ModelSpec spec = WithQuantization(R"({"quant_method":"fp8","ignored_layers":[")" + std::string(pattern) + R"("]})");
    EXPECT_EQ(spec.layers[0].weights[kAttention].BitsPerWeight(), 16) << pattern;
    EXPECT_THAT(spec.notes, IsEmpty()) << pattern;
    EXPECT_LT(Bits(spec, kRoutedExpert), 9) << pattern;
  }
  for (const char* pattern :
       {"model.layers.1.block_sparse_moe.experts", "*.mlp.experts.*", R"(re:.*block_sparse_moe\\.experts.*w[123]$)",
        "backbone.layers.1.mlp.experts.gate_up_proj", R"(re:.*experts\\.\\d+\\.(gate|up|down)_proj)"}) {
    const ModelSpec spec =
        WithQuantization(R"({"quant_method":"fp8","modules_to_not_convert":[")" + std::string(pattern) + R"("]})");
    EXPECT_GT(spec.layers[1].weights[kRoutedExpert].BitsPerWeight(), 13) << pattern;
    EXPECT_LT(Bits(spec, kAttention), 9) << pattern;
    EXPECT_THAT(spec.notes, IsEmpty()) << pattern;
  }
  const ModelSpec fused = WithQuantization(R"({"quant_method":"fp8","exclude":["model.layers.0.self_attn.qkv_proj"]})");
  const double mixed = fused.layers[0].weights[kAttention].BitsPerWeight();
  EXPECT_TRUE(mixed > 10 && mixed < 14) << "q, k and v, not o: " << mixed;
}

TEST(Quantization, APatternThatMatchesNothingIsTold) {
  const ModelSpec lost = WithQuantization(R"({"quant_method":"fp8","ignored_layers":["model.layers.7.self_attn","lm_head"]})");
  EXPECT_THAT(lost.notes, testing::ElementsAre(AllOf(HasSubstr("1 pattern"), HasSubstr("model.layers.7.self_attn"))));
  const ModelSpec towers = WithQuantization(
      R"({"quant_method":"fp8","ignored_layers":["visual.blocks.0.attn.qkv","vision_tower*","mtp.layers.0","re:.*mm_projector.*"]})");
  EXPECT_THAT(towers.notes, IsEmpty()) << "what stands beside the text model is no loss";
}

// DeepSeek-V4 numbers the blocks of multi-token prediction alone: "mtp.0.ffn.experts.3.w1".
TEST(Quantization, PatternsNameTheBlocksOfMultiTokenPrediction) {
  const auto with = [](const std::string& ignored) {
    Json config = *ParseJson(R"({"model_type": "deepseek_v4", "hc_mult": 4, "head_dim": 512, "hidden_size": 4096,
      "index_head_dim": 128, "index_n_heads": 64, "index_topk": 512, "moe_intermediate_size": 2048, "n_routed_experts": 16,
      "n_shared_experts": 1, "num_attention_heads": 64, "num_experts_per_tok": 6, "num_hidden_layers": 2, "num_hash_layers": 0,
      "num_key_value_heads": 1, "num_nextn_predict_layers": 1, "o_groups": 8, "o_lora_rank": 1024, "q_lora_rank": 1024,
      "qk_rope_head_dim": 64, "sliding_window": 128, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
      "vocab_size": 1000, "compress_ratios": [0, 4, 0],
      "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})");
    if (!ignored.empty()) config["quantization_config"]["ignored_layers"] = Json::array({ignored});
    auto spec = SpecFromConfig(config, "v4");
    EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
    return *std::move(spec);
  };
  const ModelSpec all = with("");
  EXPECT_LT(all.mtp[kRoutedExpert].BitsPerWeight(), 9);
  for (const char* pattern : {"mtp.0.ffn.experts", "mtp.0.*", R"(re:mtp\.0\.ffn\.experts.*)", "mtp"}) {
    const ModelSpec spec = with(pattern);
    EXPECT_EQ(spec.mtp[kRoutedExpert].BitsPerWeight(), 16) << pattern;
    EXPECT_EQ(spec.layers[0].weights[kRoutedExpert].bytes, all.layers[0].weights[kRoutedExpert].bytes) << pattern;
  }
  EXPECT_EQ(with("mtp.1.ffn.experts").mtp[kRoutedExpert].bytes, all.mtp[kRoutedExpert].bytes);
}

TEST(Quantization, SingleExpertsMayDiffer) {
  const ModelSpec spec = WithQuantization(R"({"quant_method":"fp8","ignored_layers":
      ["model.layers.0.mlp.experts.3","model.layers.0.mlp.experts.4"]})");
  EXPECT_NEAR(spec.layers[0].weights[kRoutedExpert].BitsPerWeight(), (2 * 16 + 6 * 8) / 8.0, 0.01);
  EXPECT_THAT(spec.notes, IsEmpty());
}

TEST(Quantization, ModelOptInEveryForm) {
  const ModelSpec nested = WithQuantization(R"({"quantization":{"quant_algo":"NVFP4","kv_cache_quant_algo":"FP8",
      "exclude_modules":["lm_head","model.layers.0.self_attn*"]}})");
  EXPECT_EQ(nested.weight_type, "nvfp4");
  EXPECT_EQ(nested.layers[0].weights[kAttention].BitsPerWeight(), 16);
  EXPECT_LT(nested.layers[1].weights[kAttention].BitsPerWeight(), 5);
  EXPECT_EQ(nested.kv_type, "fp8");
  const ModelSpec by_producer = WithQuantization(R"({"producer":{"name":"modelopt"},"quant_algo":"FP8","kv_cache_scheme":"FP8",
      "config_groups":{"group_0":{"weights":{"num_bits":8,"type":"float"},"input_activations":{"num_bits":8}}}})");
  EXPECT_EQ(by_producer.weight_type, "fp8");
  EXPECT_EQ(by_producer.compute_type, "fp8");
  EXPECT_EQ(by_producer.kv_type, "fp8");
  const ModelSpec mixed = WithQuantization(R"({"quant_method":"modelopt","quant_algo":"MIXED_PRECISION","quantized_layers":{
      "model.language_model.layers.0.mlp.experts":{"quant_algo":"W4A16_NVFP4","group_size":16},
      "model.language_model.layers.1.mlp.experts":{"quant_algo":"MXFP8"},
      "model.language_model.layers.0.self_attn.q_proj":{"quant_algo":"FP8"},"lm_head":{"quant_algo":"NVFP4"}}})");
  EXPECT_NEAR(mixed.layers[0].weights[kRoutedExpert].BitsPerWeight(), 4.5, 1e-3);
  EXPECT_EQ(mixed.layers[1].weights[kRoutedExpert].BitsPerWeight(), 8.25);
  EXPECT_EQ(mixed.layers[1].weights[kAttention].BitsPerWeight(), 16);
  EXPECT_LT(mixed.layers[0].weights[kAttention].BitsPerWeight(), 14);
  EXPECT_NEAR(Bits(mixed, kHead), 4.5, 0.01);
  for (const char* algorithm :
       {"FP8_PER_CHANNEL_PER_TOKEN", "fp8_pb_wo", "MXFP8", "W4A16_AWQ", "W4A8_AWQ", "NVFP4_AWQ", "INT8_SQ"}) {
    const ModelSpec spec = WithQuantization(fmt::format(R"({{"quant_method":"modelopt","quant_algo":"{}"}})", algorithm));
    EXPECT_LT(Bits(spec, kRoutedExpert), 9) << algorithm;
  }
  Json config = Tiny();
  config["quantization_config"] = *ParseJson(R"({"quant_method":"modelopt","quant_algo":"FP3"})");
  EXPECT_THAT(QuantizationError(config), AllOf(HasSubstr("'FP3' is not known"), HasSubstr("W4A16_NVFP4")));
  config["quantization_config"] = *ParseJson(R"({"quant_method":"modelopt","quant_algo":"MIXED_PRECISION"})");
  EXPECT_THAT(QuantizationError(config), HasSubstr("hf_quant_config.json"));
}

TEST(Quantization, ExpertsOfTheirOwn) {
  const std::string fp8 = R"("quant_method":"fp8","weight_block_size":[128,128])";
  const auto bits = [&](const std::string& inside, const char* at_top) {
    Json config = Tiny();
    if (at_top != nullptr) config["expert_dtype"] = at_top;
    config["quantization_config"] = *ParseJson("{" + inside + "}");
    const auto spec = SpecFromConfig(config, "x");
    EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
    EXPECT_LT(Bits(*spec, kAttention), 8.3);
    return Bits(*spec, kRoutedExpert);
  };
  EXPECT_EQ(bits(fp8, "fp4"), 4.25);
  EXPECT_EQ(bits(fp8 + R"(,"expert_dtype":"fp4")", nullptr), 4.25);
  EXPECT_NEAR(bits(fp8 + R"(,"moe_quant_algo":"NVFP4")", "fp4"), 4.5, 1e-3) << "the special statement counts";
  EXPECT_NEAR(bits(fp8, "fp8"), 8.002, 1e-3);
  EXPECT_EQ(bits(fp8, "bf16"), 16);
  EXPECT_NEAR(bits(R"("quant_method":"modelopt","quant_algo":"NVFP4")", "fp4"), 4.5, 1e-3)
      << "the checkpoint's own scheme counts";
  EXPECT_EQ(bits(R"("quant_method":"mxfp8","moe_quant_algo":"MXFP4")", nullptr), 4.25);
  // The experts alone were converted: everything else stays in blocks of fp8.
  EXPECT_NEAR(bits(R"("quant_algo":"MIXED_PRECISION","moe_quant_algo":"NVFP4","producer":{"name":"modelopt"},
      "quantized_layers":{"layers.0.ffn.experts":{"quant_algo":"NVFP4"},"layers.1.ffn.experts":{"quant_algo":"NVFP4"}})",
                   "fp4"),
              4.5, 1e-3);
}

TEST(Quantization, CompressedTensorsGroupsByNameAndClass) {
  const ModelSpec spec = WithQuantization(R"({"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{
      "group_0":{"targets":["Linear"],"weights":{"num_bits":8,"type":"float","strategy":"channel"}},
      "group_1":{"targets":["re:.*mlp\\.experts\\.\\d+\\.(gate|up|down)_proj$"],"weights":{"num_bits":4,"type":"int","group_size":32,"strategy":"group"}},
      "group_2":{"targets":["re:.*lm_head"],"weights":{"num_bits":8,"type":"int","strategy":"channel"}}},
      "ignore":["model.layers.0.self_attn.o_proj"]})");
  EXPECT_EQ(Bits(spec, kRoutedExpert), 4.5);
  EXPECT_EQ(spec.weight_type, "int4-g32");
  EXPECT_LT(spec.layers[1].weights[kAttention].BitsPerWeight(), 8.3);
  EXPECT_GT(spec.layers[0].weights[kAttention].BitsPerWeight(), 10);
  EXPECT_LT(Bits(spec, kHead), 9);
  const ModelSpec moe = WithQuantization(R"({"quant_method":"compressed-tensors","config_groups":{
      "g":{"targets":["FusedMoE"],"weights":{"num_bits":4,"type":"float","group_size":32}}}})");
  EXPECT_EQ(Bits(moe, kRoutedExpert), 4.25);
  EXPECT_EQ(Bits(moe, kAttention), 16);
}

TEST(Quantization, GptqWithExceptions) {
  const ModelSpec spec = WithQuantization(R"({"bits":4,"group_size":128,"quant_method":"gptq","lm_head":true,"dynamic":{
      "-:.*self_attn.*":{}, "+:model\\.layers\\.1\\.mlp\\.experts.*":{"bits":8,"group_size":64}, ".*nothing.*":{"bits":3}}})");
  EXPECT_EQ(Bits(spec, kAttention), 16);
  EXPECT_LT(spec.layers[0].weights[kRoutedExpert].BitsPerWeight(), 4.5);
  EXPECT_GT(spec.layers[1].weights[kRoutedExpert].BitsPerWeight(), 8);
  EXPECT_LT(Bits(spec, kHead), 6);
  EXPECT_THAT(spec.notes, testing::ElementsAre(HasSubstr("re:.*nothing.*")));
  const ModelSpec blocks = WithQuantization(
      R"({"bits":4,"quant_method":"gptq","modules_in_block_to_quantize":[["self_attn.k_proj","self_attn.v_proj"]]})");
  EXPECT_EQ(Bits(blocks, kRoutedExpert), 16);
  EXPECT_LT(Bits(blocks, kAttention), 15);
}

TEST(Quantization, OtherMethodsAndTheirExceptions) {
  struct Case {
    std::string config;
    double expert_bits, attention_bits;
  };
  const std::vector<Case> cases = {
      {R"({"quant_method":"bitsandbytes","load_in_8bit":true,"llm_int8_skip_modules":["self_attn","lm_head"]})", 8.11, 16},
      {R"({"quant_method":"auto-round","bits":4,"group_size":128,"packing_format":"auto_round:auto_awq",
          "extra_config":{"model.layers.0.self_attn":{"bits":16},".*layers\\.1\\.self_attn.*":{"bits":16,"data_type":"float"}}})",
       4.15625, 16},
      {R"({"quant_method":"auto_round","bits":4,"data_type":"mx_fp","group_size":32})", 4.25, 4.25},
      {R"({"quant_method":"quark","global_quant_config":{"weight":{"dtype":"fp4","qscheme":"per_group","group_size":32}},
          "layer_quant_config":{"*self_attn*":{"weight":{"dtype":"fp8_e4m3","qscheme":"per_tensor"}}},"exclude":["lm_head"]})",
       4.25, 8},
      {R"({"quant_method":"quark","global_quant_config":{"weight":null},"layer_quant_config":{"*experts*":{"weight":
          [{"dtype":"fp8_e4m3"},{"dtype":"int4","qscheme":"per_channel"}]}}})",
       4.05, 16},
      {R"({"quant_method":"mxfp8","weight_block_size":[1,32],"ignored_layers":["self_attn"]})", 8.25, 16},
      {R"({"quant_method":"hqq","quant_config":{"weight_quant_params":{"nbits":4,"group_size":64}},"skip_modules":["self_attn"]})",
       4.5, 16},
      {R"({"quant_method":"torchao","quant_type":"int4_weight_only","quant_type_kwargs":{"group_size":128}})", 4.25, 4.25},
      {R"({"quant_method":"torchao","quant_type":{"default":{"_type":"ModuleFqnToConfig","_data":{"module_fqn_to_config":{
          "_default":{"_type":"Int8WeightOnlyConfig"},"model.layers.0.self_attn":null,"model.layers.1.self_attn":null}}}}})",
       8.11, 16},
      {R"({"quant_method":"torchao","quant_type":{"default":{"_type":"Float8DynamicActivationFloat8WeightConfig"}}})", 8.11,
       8.15},
      {R"({"quant_method":"w4afp8","weight_block_size":[128,128]})", 4.125, 8},
      {R"({"quant_method":"quanto","weights":"int4","modules_to_not_convert":["self_attn"]})", 4.25, 16},
      {R"({"quant_method":"awq","bits":4,"group_size":128,"modules_to_not_convert":["self_attn"]})", 4.15625, 16},
      {R"({"group_size":64,"bits":4,"mode":"affine","model.layers.0.self_attn":false,"language_model.model.layers.1.self_attn":{"bits":8}})",
       4.5, 12.25},
  };
  for (const Case& c : cases) {
    const ModelSpec spec = WithQuantization(c.config);
    EXPECT_NEAR(Bits(spec, kRoutedExpert), c.expert_bits, 0.03) << c.config;
    EXPECT_NEAR(Bits(spec, kAttention), c.attention_bits, 0.2) << c.config;
    EXPECT_THAT(spec.notes, IsEmpty()) << c.config;
  }
}

TEST(Quantization, PrecisionOverridesWhatIsNotKnown) {
  Json config = Tiny();
  config["quantization_config"] = *ParseJson(R"({"quant_method":"magic"})");
  EXPECT_THAT(QuantizationError(config), AllOf(HasSubstr("compressed-tensors"), HasSubstr("--precision")));
  HfOptions options;
  options.precision_is_given = true;
  const auto spec = SpecFromConfig(config, "x", options);
  ASSERT_TRUE(spec.ok());
  EXPECT_THAT(spec->notes, testing::ElementsAre(HasSubstr("magic")));
}

TEST(Quantization, TheNamesOfTensorsAreBelieved) {
  Json config = Tiny();
  config["quantization_config"] = *ParseJson(R"({"quant_method":"fp8","weight_block_size":[128,128]})");
  StoredModules stored;
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
      stored.Add(fmt::format("model.language_model.layers.{}.self_attn.{}.weight", layer, name));
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      stored.Add(fmt::format("model.language_model.layers.{}.mlp.experts.0.{}.weight", layer, name));
      stored.Add(fmt::format("model.language_model.layers.{}.mlp.experts.0.{}.weight_scale_inv", layer, name));
    }
  }
  HfOptions options;
  options.stored = &stored;
  const auto spec = SpecFromConfig(config, "x", options);
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(Bits(*spec, kAttention), 16);
  EXPECT_NEAR(Bits(*spec, kRoutedExpert), 8.002, 1e-3);
  EXPECT_THAT(spec->notes, testing::ElementsAre(AllOf(HasSubstr("8 matrices"), HasSubstr("disagree"))));
}

TEST(KvFormat, LayoutsByTheirNames) {
  auto spec = SpecFromConfig(Tiny(), "x");
  ASSERT_TRUE(spec.ok());
  const double elements = 2 * 2 * (32 + 32);
  const auto bytes = [&](const char* name) {
    const Status applied = ApplyKvFormat(*spec, name);
    EXPECT_TRUE(applied.ok()) << name;
    return spec->ResidentKvBytes(1);
  };
  EXPECT_EQ(bytes("bf16"), elements * 2);
  EXPECT_EQ(bytes("fp8_e4m3"), elements);
  EXPECT_EQ(bytes("FP8"), elements);
  EXPECT_EQ(bytes("nvfp4"), elements * 4.5 / 8);
  EXPECT_EQ(bytes("q8_0"), elements * 8.5 / 8);
  EXPECT_EQ(bytes("int8"), elements + 2 * 2 * 2 * 4) << "a scale for each key and value of each head";
  EXPECT_EQ(bytes("f16"), elements * 2) << "a later layout leaves nothing of an earlier one";
  EXPECT_THAT(ApplyKvFormat(*spec, "fp8_ds_mla").error().message, HasSubstr("MLA"));
  EXPECT_THAT(ApplyKvFormat(*spec, "fp8_bogus").error().message, AllOf(HasSubstr("fp8_bogus"), HasSubstr("fp8_e4m3")));
}

}  // namespace
}  // namespace moecap::model
