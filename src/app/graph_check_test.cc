// Every architecture that moecap synth writes, loaded by the engine: formulas against the graph it evaluates.
#include "app/graph_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>

#include "base/clock.h"
#include "model/gguf_spec.h"
#include "synth/synthesize.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

// Small shapes with every part of their family: rows of 256 so that every block type fits, few layers.
struct Case {
  const char* name;
  const char* config;
  const char* type = "Q8_0";
};

constexpr const char* kGqa = R"("hidden_size": 512, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 512,
  "num_experts_per_tok": 4, "max_position_embeddings": 4096)";

const Case kCases[] = {
    {"mixtral", R"({"model_type": "mixtral", "num_hidden_layers": 2, "num_local_experts": 16, "intermediate_size": 512,)"},
    {"qwen2_moe",
     R"({"model_type": "qwen2_moe", "num_hidden_layers": 2, "num_experts": 16, "moe_intermediate_size": 256, "intermediate_size": 1024,
       "shared_expert_intermediate_size": 1024,)"},
    {"qwen3_moe",
     R"({"model_type": "qwen3_moe", "num_hidden_layers": 3, "num_experts": 32, "moe_intermediate_size": 256, "head_dim": 128,)",
     "Q4_K"},
    {"olmoe",
     R"({"model_type": "olmoe", "num_hidden_layers": 2, "num_experts": 16, "intermediate_size": 256, "num_key_value_heads": 8,)"},
    {"gpt_oss",
     R"({"model_type": "gpt_oss", "num_hidden_layers": 4, "num_local_experts": 16, "intermediate_size": 512, "head_dim": 64,
       "sliding_window": 32, "attention_bias": true,
       "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],)",
     "MXFP4"},
    {"glm4_moe",
     R"({"model_type": "glm4_moe", "num_hidden_layers": 3, "n_routed_experts": 16, "moe_intermediate_size": 256, "intermediate_size": 1024,
       "n_shared_experts": 1, "first_k_dense_replace": 1, "head_dim": 64, "attention_bias": true, "use_qk_norm": true,
       "partial_rotary_factor": 0.5,)"},
    {"minimax_m2", R"({"model_type": "minimax_m2", "num_hidden_layers": 2, "num_local_experts": 16, "intermediate_size": 256,
       "head_dim": 128, "rotary_dim": 64, "use_qk_norm": true, "use_routing_bias": true, "scoring_func": "sigmoid",)"},
    {"dots1",
     R"({"model_type": "dots1", "num_hidden_layers": 2, "n_routed_experts": 16, "moe_intermediate_size": 256, "intermediate_size": 1024,
       "n_shared_experts": 2, "first_k_dense_replace": 1, "topk_method": "noaux_tc", "num_key_value_heads": 8,)"},
    {"deepseek_v1",
     R"({"model_type": "deepseek", "num_hidden_layers": 2, "n_routed_experts": 16, "moe_intermediate_size": 256, "intermediate_size": 1024,
       "n_shared_experts": 2, "first_k_dense_replace": 1,)"},
    {"deepseek_v2",
     R"({"model_type": "deepseek_v2", "num_hidden_layers": 3, "n_routed_experts": 16, "moe_intermediate_size": 256,
       "intermediate_size": 1024, "n_shared_experts": 2, "first_k_dense_replace": 1, "kv_lora_rank": 128, "q_lora_rank": null,
       "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 64,)"},
    {"deepseek_v3",
     R"({"model_type": "deepseek_v3", "num_hidden_layers": 3, "n_routed_experts": 16, "moe_intermediate_size": 256,
       "intermediate_size": 1024, "n_shared_experts": 1, "first_k_dense_replace": 1, "kv_lora_rank": 128, "q_lora_rank": 256,
       "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 64, "n_group": 4, "topk_group": 2, "topk_method": "noaux_tc",
       "scoring_func": "sigmoid", "norm_topk_prob": true,)"},
};

class GraphCheckTest : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { library_ = llamacpp::EngineLibrary::Load().value().release(); }
  static void TearDownTestSuite() { delete library_; }

  void SetUp() override {
    file_ = fs::temp_directory_path() / ("moecap-" + std::to_string(::getpid()) + "-" + GetParam().name + ".gguf");
    // A field before the common ones wins.
    std::string config = GetParam().config;
    const std::string common = kGqa;
    config += config.find("\"num_key_value_heads\"") == std::string::npos
                  ? common
                  : common.substr(0, common.find("\"num_key")) + common.substr(common.find("\"vocab"));
    config += "}";
    synth::SynthOptions options;
    options.type = GetParam().type;
    options.skew_cv = 0.3;
    const auto plan = synth::PlanModel({GetParam().name, config}, options);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ASSERT_TRUE(synth::WriteModel(*plan, file_, nullptr).ok());
    const auto loaded = llamacpp::LoadedModel::Load(*library_, file_);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    model_ = *loaded;
    spec_ = AsTheEngineRuns(model::ReadGgufSpec(file_).value());
  }
  void TearDown() override { fs::remove(file_); }

  std::vector<llamacpp::GraphPass> Run(const llamacpp::GraphRunOptions& options) {
    auto passes = llamacpp::RunGraphPasses(*library_, model_, options, clock_, nullptr);
    EXPECT_TRUE(passes.ok()) << (passes.ok() ? "" : passes.error().message);
    return std::move(passes).value();
  }

  static llamacpp::EngineLibrary* library_;
  SteadyClock clock_;
  fs::path file_;
  std::shared_ptr<const llamacpp::LoadedModel> model_;
  model::ModelSpec spec_;
};
llamacpp::EngineLibrary* GraphCheckTest::library_ = nullptr;

TEST_P(GraphCheckTest, FormulasAgreeWithTheGraph) {
  llamacpp::GraphRunOptions options;
  options.batches = {1, 3, 8};
  options.contexts = {20, 80};
  options.repeats = 1;
  const auto passes = Run(options);
  ASSERT_EQ(passes.size(), 8u);
  for (const llamacpp::GraphPass& pass : passes) {
    const GraphCheck check = CheckPass(spec_, pass);
    const auto& slice = pass.record.sequences.front();
    EXPECT_TRUE(check.Passes()) << "context " << slice.context_tokens << " new " << slice.new_tokens << " x " << slice.count
                                << ": bytes " << check.BytesDifference() << " (" << check.formula_bytes - check.graph_bytes
                                << "), FLOPs " << check.FlopsDifference() << " (" << check.formula_flops - check.graph_flops
                                << ")";
    EXPECT_TRUE(pass.graph.products_not_counted.empty());
    EXPECT_TRUE(pass.replay_matches);
    EXPECT_EQ(pass.record.expert_counts.size(), static_cast<size_t>(spec_.MoeLayers()));
    ASSERT_TRUE(pass.times.has_value());
    EXPECT_GT(pass.times->plain_s, 0);
  }
}

TEST_P(GraphCheckTest, AWrongInventoryIsNoticed) {
  llamacpp::GraphRunOptions options;
  options.batches = {1};
  options.contexts = {20};
  options.repeats = 0;
  const auto decode = Run(options).back();
  ASSERT_TRUE(CheckPass(spec_, decode).Passes());
  model::ModelSpec headless = spec_;
  headless.ends[model::TensorClass::kHead] = {};
  EXPECT_FALSE(CheckPass(headless, decode).Passes());
  llamacpp::GraphPass other_experts = decode;
  other_experts.record.distinct_experts[0] += 1;
  EXPECT_GT(CheckPass(spec_, other_experts).BytesDifference(), kBytesTolerance);
}

TEST_P(GraphCheckTest, SeparateAttentionProductsCountTheSame) {
  llamacpp::GraphRunOptions options;
  options.batches = {2};
  options.contexts = {40};
  options.repeats = 0;
  const auto fused = Run(options);
  options.flash_attention = false;
  const auto separate = Run(options);
  for (size_t i = 0; i < fused.size(); ++i) {
    EXPECT_EQ(separate[i].graph.attention_flops, fused[i].graph.attention_flops);
    EXPECT_EQ(separate[i].graph.kv_read_bytes, fused[i].graph.kv_read_bytes);
    EXPECT_EQ(separate[i].graph.kv_written_bytes, fused[i].graph.kv_written_bytes);
    EXPECT_EQ(separate[i].graph.product_flops, fused[i].graph.product_flops);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, GraphCheckTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace moecap::app
