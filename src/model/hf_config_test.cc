#include "model/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "model/catalogue.h"

namespace moecap::model {
namespace {

using testing::HasSubstr;

// hidden 64, 4 query and 2 KV heads of 32, 8 experts of 96, top-2, vocabulary 100, 2 layers: the shapes of gguf_spec_test.
Json TinyQwen3Moe() {
  return *ParseJson(R"({"model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 96,
    "vocab_size": 100, "torch_dtype": "bfloat16", "tie_word_embeddings": false})");
}

std::string ErrorOf(const Json& config) {
  const auto spec = SpecFromConfig(config, "x");
  return spec.ok() ? "" : spec.error().message;
}

TEST(HfConfig, CountsATinyModelByHand) {
  const auto spec = SpecFromConfig(TinyQwen3Moe(), "tiny");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->TotalParams(), 12800 + 49152 + 448 + 1024 + 294912);
  EXPECT_EQ(spec->WeightBytes(), 2.0 * static_cast<double>(spec->TotalParams()));
  EXPECT_EQ(spec->KvElementsPerToken(), 256);
  EXPECT_EQ(spec->weight_type, "bf16");
  EXPECT_EQ(spec->compute_type, "bf16");
  EXPECT_EQ(spec->layers[0].attention.caches.at(0).flops_per_entry, 4 * 4 * 32);
  EXPECT_EQ(spec->ByClass()[TensorClass::kNorm].matrix_params, 0);
}

TEST(HfConfig, MissingFieldsAreNamed) {
  for (const char* field : {"hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "num_experts",
                            "num_experts_per_tok", "moe_intermediate_size", "vocab_size"}) {
    Json config = TinyQwen3Moe();
    config.erase(field);
    EXPECT_THAT(ErrorOf(config), testing::AllOf(HasSubstr(field), HasSubstr("missing"))) << field;
  }
  Json config = TinyQwen3Moe();
  config.erase("model_type");
  EXPECT_THAT(ErrorOf(config), HasSubstr("'model_type' is missing"));
}

TEST(HfConfig, UnknownModelTypesAreRefusedWithANearOne) {
  Json config = TinyQwen3Moe();
  config["model_type"] = "qwen3_mo";
  EXPECT_THAT(ErrorOf(config), testing::AllOf(HasSubstr("qwen3_mo"), HasSubstr("qwen3_moe")));
  EXPECT_THAT(ErrorOf(*ParseJson("[]")), HasSubstr("JSON object"));
}

TEST(HfConfig, ImpossibleValuesAreRefused) {
  const auto with = [](const char* field, const Json& value) {
    Json config = TinyQwen3Moe();
    config[field] = value;
    return ErrorOf(config);
  };
  EXPECT_THAT(with("hidden_size", -1), HasSubstr("hidden_size"));
  EXPECT_THAT(with("hidden_size", "big"), HasSubstr("not a number"));
  EXPECT_THAT(with("hidden_size", 64.5), HasSubstr("whole number"));
  EXPECT_THAT(with("hidden_size", 1e30), HasSubstr("hidden_size"));
  EXPECT_THAT(with("num_hidden_layers", 100000), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(with("num_experts_per_tok", 9), HasSubstr("only 8 experts"));
  EXPECT_THAT(with("torch_dtype", "int3"), HasSubstr("torch_dtype"));
  EXPECT_THAT(with("mlp_only_layers", "no"), testing::AnyOf(HasSubstr("mlp_only_layers"), testing::IsEmpty()));
  Json huge = TinyQwen3Moe();
  huge["num_experts"] = 1 << 20;
  huge["moe_intermediate_size"] = 1 << 24;
  huge["hidden_size"] = 1 << 24;
  EXPECT_THAT(ErrorOf(huge), HasSubstr("larger than any model"));
}

TEST(HfConfig, TheTextModelOfAMultimodalConfigIsUsed) {
  Json config;
  config["model_type"] = "qwen3_vl_moe";
  config["text_config"] = TinyQwen3Moe();
  config["text_config"]["model_type"] = "qwen3_vl_moe_text";
  config["text_config"].erase("tie_word_embeddings");
  config["tie_word_embeddings"] = true;
  config["vision_config"]["hidden_size"] = 1152;
  const auto spec = SpecFromConfig(config, "x");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->hidden, 64);
  EXPECT_TRUE(spec->tied_embedding);
  EXPECT_EQ(spec->model_type, "qwen3_vl_moe");
}

TEST(HfConfig, DenseModelsHaveNoExperts) {
  const auto spec = SpecFromConfig(*ParseJson(R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100,
    "torch_dtype": "float16"})"),
                                   "dense");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->MoeLayers(), 0);
  EXPECT_EQ(spec->ActiveParams(), spec->TotalParams());
  EXPECT_EQ(spec->TotalParams(), 2 * 6400 + 2 * (64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128 + 128) + 64);
}

TEST(HfConfig, ReadsMistralParams) {
  const auto spec = SpecFromConfig(*ParseJson(R"({"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 128, "vocab_size": 100,
    "q_lora_rank": 48, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16,
    "moe": {"num_experts": 8, "num_experts_per_tok": 2, "expert_hidden_dim": 32, "num_shared_experts": 1,
            "first_k_dense_replace": 1, "route_every_n": 1}})"),
                                   "large");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->MoeLayers(), 2);
  EXPECT_EQ(spec->KvElementsPerToken(), 3 * 40);
  EXPECT_EQ(spec->layers[0].ffn.dense_width, 128);
  EXPECT_EQ(spec->layers[1].ffn.shared_experts, 1);
}

TEST(HfConfig, ZeroExpertsLowerTheExpectedActiveOnes) {
  const auto catalogue = ModelCatalogue::Builtin();
  const auto spec = SpecOf(*catalogue->Find("meituan-longcat/LongCat-Flash-Chat"), "x");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->TopK(), 12);
  EXPECT_DOUBLE_EQ(spec->layers[0].ffn.ActiveExperts(), 8);
  EXPECT_EQ(spec->layers.size(), 56U) << "each layer is told as two";
}

TEST(HfConfig, SparseAttentionReadsItsSelectionOnly) {
  const auto catalogue = ModelCatalogue::Builtin();
  const auto spec = SpecOf(*catalogue->Find("deepseek-ai/DeepSeek-V3.2"), "x");
  ASSERT_TRUE(spec.ok());
  const std::vector<KvCacheSpec>& caches = spec->layers[0].attention.caches;
  ASSERT_EQ(caches.size(), 2U);
  EXPECT_EQ(caches[0].elements, 576);
  EXPECT_EQ(caches[0].Read(100000, 1), 2048);
  EXPECT_EQ(caches[1].Read(100000, 1), 100000) << "the indexer scores every key";
  EXPECT_EQ(spec->ResidentKvBytes(1000), 61 * (576 + 128) * 1000 * 2);
}

TEST(HfConfig, ReadsJsonAsPythonWritesIt) {
  std::string text = DumpJson(TinyQwen3Moe());
  text.insert(1, R"("time_step_limit": [0.0, Infinity], "low": -Infinity, "what": NaN, "text": "Infinity \"NaN", )");
  const auto spec = SpecFromConfigText(text, "x");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_THAT(SpecFromConfigText("{Infinit}", "x").error().message, HasSubstr("not valid JSON"));
}

TEST(HfConfig, KvHeadsDivideQueryHeads) {
  for (const int heads : {3, 8}) {
    Json config = TinyQwen3Moe();
    config["num_key_value_heads"] = heads;
    EXPECT_THAT(ErrorOf(config), testing::AllOf(HasSubstr("num_key_value_heads"), HasSubstr("4 query heads")));
  }
}

// The family under whatever name its checkpoints use, alone or inside a wrapper.
TEST(HfConfig, ArchitecturesAndWrappersNameTheFamily) {
  const int64_t params = SpecFromConfig(TinyQwen3Moe(), "x")->TotalParams();
  Json nameless = TinyQwen3Moe();
  nameless.erase("model_type");
  nameless["architectures"] = Json::array({"Qwen3MoeForCausalLM"});
  EXPECT_EQ(SpecFromConfig(nameless, "x")->TotalParams(), params);
  for (const char* key : {"text_config", "llm_config", "language_config"}) {
    Json wrapper;
    wrapper["model_type"] = "some_vision_language_model";
    wrapper[key] = TinyQwen3Moe();
    EXPECT_EQ(SpecFromConfig(wrapper, "x")->TotalParams(), params) << key;
    wrapper[key].erase("model_type");
    wrapper[key]["architectures"] = Json::array({"Qwen3MoeForCausalLM"});
    EXPECT_EQ(SpecFromConfig(wrapper, "x")->TotalParams(), params) << key;
  }
  Json omni;
  omni["model_type"] = "qwen3_omni_moe";
  omni["thinker_config"]["text_config"] = TinyQwen3Moe();
  omni["thinker_config"]["text_config"]["model_type"] = "qwen3_omni_moe_text";
  omni["thinker_config"]["vision_config"] = *ParseJson(R"({"hidden_size":32,"depth":2,"intermediate_size":64,"patch_size":4})");
  omni["thinker_config"]["audio_config"] = *ParseJson(R"({"d_model":16,"encoder_layers":1,"encoder_ffn_dim":32})");
  const auto spec = SpecFromConfig(omni, "x");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->TotalParams(), params);
  ASSERT_EQ(spec->towers.size(), 2U);
  EXPECT_TRUE(spec->towers[0].estimated);
  EXPECT_GT(spec->ResidentBytes(), spec->WeightBytes());
  // Ling 2.0 is published as bailing_moe with the class of its second version.
  Json ling = *ParseJson(ModelCatalogue::Builtin()->Find("inclusionAI/Ling-mini-2.0")->config_json);
  ling["model_type"] = "bailing_moe";
  EXPECT_EQ(SpecFromConfig(ling, "x")->TotalParams(), 16255643392);
}

TEST(HfConfig, FamiliesThatAreNotReadAreRefusedByName) {
  for (const auto& [name, nearest] :
       {std::pair{"cohere2_moe", "mixtral"}, {"pangu_ultra_moe", "deepseek_v3"}, {"hy_v4", "glm_moe_dsa"}}) {
    Json config = TinyQwen3Moe();
    config["model_type"] = name;
    EXPECT_THAT(ErrorOf(config), testing::AllOf(HasSubstr(name), HasSubstr(nearest)));
  }
  // A text model's own name, and other spellings.
  for (const auto& [name, family] :
       {std::pair{"muse_spark_text", "muse_spark"}, {"AXK1", "axk1"}, {"qwen4_exp_text", "qwen4_exp"}}) {
    Json config = TinyQwen3Moe();
    config["model_type"] = name;
    EXPECT_THAT(ErrorOf(config), HasSubstr(std::string("'") + family + "' is one that we do not read"));
  }
  Json config = TinyQwen3Moe();
  config.erase("model_type");
  config["architectures"] = Json::array({"BailingMoeV2_5ForCausalLM"});
  EXPECT_THAT(ErrorOf(config), testing::AllOf(HasSubstr("bailing_moe_v2_5"), HasSubstr("kimi_linear")));
}

// Whatever a config says, the reader answers (run under the sanitizers in CI).
TEST(HfConfig, DamagedConfigsNeverCrash) {
  std::mt19937 rng(11);
  const std::vector<Json> values = {Json(nullptr),  Json(-1),     Json(0),    Json(3),
                                    Json(1e300),    Json("x"),    Json(true), Json::array({0, 1}),
                                    Json::object(), Json(1 << 24)};
  const auto catalogue = ModelCatalogue::Builtin();
  for (const CatalogueModel& entry : catalogue->models()) {
    const Json config = *ParseJson(entry.config_json);
    std::vector<std::string> keys;
    for (const auto& [key, value] : config.items()) keys.push_back(key);
    for (int trial = 0; trial < 20; ++trial) {
      Json damaged = config;
      damaged[keys[rng() % keys.size()]] = values[rng() % values.size()];
      const auto spec = SpecFromConfig(damaged, "damaged");
      if (spec.ok()) {
        EXPECT_GT(spec->TotalParams(), 0);
      }
    }
  }
}

}  // namespace
}  // namespace moecap::model
