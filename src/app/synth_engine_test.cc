// What moecap synth writes, seen by the engine: decoded block statistics, popularity of experts, finite outputs.
#include <ggml.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/clock.h"
#include "synth/blocks.h"
#include "synth/synthesize.h"
#include "system/llamacpp/graph_run.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

TEST(SynthBlocks, DecodeToTheDeviationThatWasAskedFor) {
  constexpr int64_t kElements = 256 * 256;
  for (const std::string& name : synth::FillableTypes()) {
    const model::GgmlType type = *model::GgmlTypeByName(name);
    const auto filler = synth::BlockFiller::Create(type, 0.02);
    ASSERT_TRUE(filler.ok());
    Rng rng(3);
    std::vector<std::byte> bytes(static_cast<size_t>(kElements / type.block_elements * type.block_bytes));
    filler->Fill(bytes, rng);
    std::vector<float> values(kElements);
    if (name == "F32") {
      std::memcpy(values.data(), bytes.data(), bytes.size());
    } else {
      ggml_get_type_traits(static_cast<ggml_type>(type.id))->to_float(bytes.data(), values.data(), kElements);
    }
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / kElements;
    const double squares = std::inner_product(values.begin(), values.end(), values.begin(), 0.0) / kElements;
    const double deviation = std::sqrt(squares - mean * mean);
    EXPECT_GT(deviation, 0.02 / 1.5) << name;
    EXPECT_LT(deviation, 0.02 * 1.5) << name;
    EXPECT_LT(std::abs(mean), 0.05 * deviation) << name;
  }
}

// A prompt of `context` tokens, and a decode pass of `batch` sequences behind it, each once and with its experts.
Result<std::vector<llamacpp::GraphPass>> PassesOf(llamacpp::EngineLibrary& library, const fs::path& file, int batch,
                                                  int context) {
  ASSIGN_OR_RETURN(const auto model, llamacpp::LoadedModel::Load(library, file));
  llamacpp::GraphRunOptions run;
  run.batches = {batch};
  run.contexts = {context};
  run.repeats = 0;
  const SteadyClock clock;
  return llamacpp::RunGraphPasses(library, model, run, clock, nullptr);
}

TEST(SynthRouter, PopularityHasTheSkewThatWasAskedFor) {
  const char* config = R"({"model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "moe_intermediate_size": 64, "num_experts": 32, "num_experts_per_tok": 4,
    "vocab_size": 2048, "max_position_embeddings": 4096})";
  const auto library = llamacpp::EngineLibrary::Load();
  ASSERT_TRUE(library.ok());
  const fs::path file = fs::temp_directory_path() / ("moecap-skew-" + std::to_string(::getpid()) + ".gguf");
  // Q4_0 has quants that are not symmetric.
  for (const auto& [type, cv] : {std::pair{"Q8_0", 0.0}, std::pair{"Q4_0", 0.0}, std::pair{"Q4_0", 0.8}}) {
    synth::SynthOptions options;
    options.type = type;
    options.skew_cv = cv;
    const auto plan = synth::PlanModel({"skew", config}, options);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ASSERT_TRUE(synth::WriteModel(*plan, file, nullptr).ok());
    const auto passes = PassesOf(**library, file, 1, 768);
    ASSERT_TRUE(passes.ok()) << passes.error().message;
    for (size_t layer = 0; layer + 1 < 3; ++layer) {  // the last one routes one row
      const std::vector<int32_t>& counts = (*passes)[0].record.expert_counts[layer];
      const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / 32;
      EXPECT_EQ(mean, 768 * 4 / 32.0) << "a NaN would route every token alike, but still to four experts";
      double squares = 0;
      for (const int32_t count : counts) squares += (count - mean) * (count - mean);
      EXPECT_NEAR(std::sqrt(squares / 32) / mean, cv, 0.25) << type << " layer " << layer;
    }
  }
  fs::remove(file);
}

// Its weights per head are what the engine's layout for AMX does not compute: on such a processor this passes without that
// layout.
TEST(SynthLatentAttention, TheEngineRunsItOnEveryProcessor) {
  const char* config = R"({"model_type": "deepseek_v2", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "kv_lora_rank": 64, "q_lora_rank": null, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 64,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "intermediate_size": 512, "moe_intermediate_size": 64, "n_routed_experts": 16,
    "n_shared_experts": 2, "num_experts_per_tok": 4, "vocab_size": 2048, "max_position_embeddings": 4096})";
  const auto library = llamacpp::EngineLibrary::Load();
  ASSERT_TRUE(library.ok());
  const fs::path file = fs::temp_directory_path() / ("moecap-latent-" + std::to_string(::getpid()) + ".gguf");
  for (const char* type : {"Q4_0", "Q8_0", "F16"}) {
    synth::SynthOptions options;
    options.type = type;
    const auto plan = synth::PlanModel({"latent", config}, options);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ASSERT_TRUE(synth::WriteModel(*plan, file, nullptr).ok());
    EXPECT_TRUE(llamacpp::HasPerHeadWeights(file));
    const auto passes = PassesOf(**library, file, 4, 64);
    ASSERT_TRUE(passes.ok()) << passes.error().message;
    const std::vector<int32_t>& counts = passes->back().record.expert_counts.at(0);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 4 * 4) << type;
  }
  fs::remove(file);
  EXPECT_FALSE(llamacpp::HasPerHeadWeights(fs::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"));
  EXPECT_FALSE(llamacpp::HasPerHeadWeights(file)) << "it is gone";
}

TEST(EngineLibraryDeathTest, AFailedAssertionOfTheEngineIsReported) {
  const auto library = llamacpp::EngineLibrary::Load();
  ASSERT_TRUE(library.ok());
  EXPECT_DEATH(ggml_abort("ggml-backend.cpp", 1294, "GGML_ASSERT(%s) failed", "x"),
               "moecap: the engine failed and ends this program: ggml-backend.cpp:1294: GGML_ASSERT\\(x\\) failed\n"
               "Measurements that a stored run had completed are kept");
}

// llama.cpp finds the parts by the first one's name and computes what it computes of the whole file.
TEST(SynthParts, TheEngineRunsThemAsOneModel) {
  const char* config = R"({"model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "moe_intermediate_size": 64, "num_experts": 32, "num_experts_per_tok": 4,
    "vocab_size": 2048, "max_position_embeddings": 4096})";
  const auto library = llamacpp::EngineLibrary::Load();
  ASSERT_TRUE(library.ok());
  const fs::path dir = fs::temp_directory_path() / ("moecap-parts-" + std::to_string(::getpid()));
  fs::create_directories(dir);
  std::vector<std::vector<std::vector<int32_t>>> counts;  // [whole, split][layer][expert]
  for (const uint64_t part_bytes : {uint64_t{0}, uint64_t{500'000}}) {
    synth::SynthOptions options;
    options.part_bytes = part_bytes;
    const auto plan = synth::PlanModel({"parts", config}, options);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ASSERT_EQ(plan->parts.size() > 1, part_bytes > 0);
    ASSERT_TRUE(synth::WriteModel(*plan, dir / "m.gguf", nullptr).ok());
    const auto passes = PassesOf(**library, synth::FilesOf(*plan, dir / "m.gguf")[0], 4, 64);
    ASSERT_TRUE(passes.ok()) << passes.error().message;
    counts.push_back(passes->back().record.expert_counts);
  }
  ASSERT_EQ(counts[0].size(), 2u);
  EXPECT_EQ(std::accumulate(counts[0][0].begin(), counts[0][0].end(), 0), 4 * 4) << "four tokens choose four experts each";
  EXPECT_EQ(counts[0], counts[1]);
  fs::remove_all(dir);
}

}  // namespace
}  // namespace moecap::app
