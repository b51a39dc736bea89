// Checkpoints as they are published, in a folder beside the project that not every machine has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/kv_format.h"
#include "model/open_model.h"

namespace moecap::model {
namespace {

using testing::HasSubstr;

class PublishedCases : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_)) GTEST_SKIP() << "no " << folder_;
  }
  Result<ModelSpec> Open(const std::string& name) const { return OpenModel((folder_ / name).string()); }
  static double Bits(const ModelSpec& spec, TensorClass c) { return spec.ByClass()[c].BitsPerWeight(); }

  const std::filesystem::path folder_ = std::filesystem::path(MOECAP_SOURCE_DIR) / "../shared/cases/models";
};

TEST_F(PublishedCases, ASidecarOfModelOptIsRead) {
  const auto spec = Open("01-hf-quant-sidecar-qwen3-235b");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->weight_type, "nvfp4");
  EXPECT_NEAR(Bits(*spec, TensorClass::kAttention), 4.5, 1e-3);
  EXPECT_NEAR(spec->WeightBytes(), 134.1e9, 0.1e9);
  EXPECT_EQ(spec->ResidentKvBytes(4096), 394264576);
  const auto nemotron = Open("03-json-infinity-nemotron-super");
  ASSERT_TRUE(nemotron.ok()) << nemotron.error().message;
  EXPECT_EQ(nemotron->TotalParams(), 120668707840);
  EXPECT_EQ(nemotron->weight_type, "fp8");
  EXPECT_TRUE(nemotron->notes.empty()) << nemotron->notes.front();
}

TEST_F(PublishedCases, PatternsMatchWhateverWrapsTheTextModel) {
  const auto kimi = Open("04-vl-prefix-ignore-kimi-k25-nvfp4");
  ASSERT_TRUE(kimi.ok()) << kimi.error().message;
  EXPECT_EQ(Bits(*kimi, TensorClass::kAttention), 16);
  EXPECT_NEAR(kimi->WeightBytes(), 589.84e9, 0.01e9);
  EXPECT_TRUE(kimi->notes.empty()) << kimi->notes.front();
  const auto mixed = Open("07-mixed-precision-targets-qwen36-35b-nvfp4");
  ASSERT_TRUE(mixed.ok()) << mixed.error().message;
  EXPECT_NEAR(Bits(*mixed, TensorClass::kRoutedExpert), 4.5, 1e-3);
  EXPECT_NEAR(Bits(*mixed, TensorClass::kHead), 4.5, 1e-3);
  EXPECT_LT(Bits(*mixed, TensorClass::kAttention), 8.2);
  EXPECT_NEAR(mixed->WeightBytes(), 20.8e9, 0.1e9);
  EXPECT_TRUE(mixed->notes.empty()) << mixed->notes.front();
  const auto mimo = Open("09-fp8-ignored-layers-mimo-v25");
  ASSERT_TRUE(mimo.ok()) << mimo.error().message;
  EXPECT_EQ(mimo->TotalParams(), 308778780864);
  EXPECT_NEAR(mimo->WeightBytes(), 311862258560, 4096);
  const auto gptq = Open("17-gptq-dynamic");
  ASSERT_TRUE(gptq.ok()) << gptq.error().message;
  EXPECT_EQ(Bits(*gptq, TensorClass::kAttention), 16);
  EXPECT_NEAR(gptq->WeightBytes(), 18.26e9, 0.01e9);
}

TEST_F(PublishedCases, FamiliesUnderTheirPublishedNames) {
  EXPECT_EQ(Open("11-model-type-mimo-v2")->TotalParams(), 308778780864);
  EXPECT_EQ(Open("12-model-type-minimax-m3-vl")->TotalParams(), 426174572928);
  EXPECT_EQ(Open("14-longcat-no-model-type")->TotalParams(), OpenModel("meituan-longcat/LongCat-Flash-Chat")->TotalParams());
  const auto phi = Open("16-gguf-phimoe-window");
  ASSERT_TRUE(phi.ok()) << phi.error().message;
  for (const LayerSpec& layer : phi->layers) EXPECT_EQ(layer.attention.caches.at(0).window, 0);
}

TEST_F(PublishedCases, EveryMethodAndCache) {
  const auto mlx = Open("19-mlx-quantised");
  ASSERT_TRUE(mlx.ok()) << mlx.error().message;
  EXPECT_NEAR(mlx->WeightBytes(), 17.2e9, 0.05e9);
  EXPECT_EQ(Open("21-modelopt-kv-cache-quant-algo")->ResidentKvBytes(4096), 201326592);
  const auto modelopt = Open("23-modelopt-without-quant-method");
  ASSERT_TRUE(modelopt.ok()) << modelopt.error().message;
  EXPECT_EQ(modelopt->weight_type, "fp8");
  EXPECT_NEAR(static_cast<double>(modelopt->TotalParams()), 32.76e9, 0.01e9);
  EXPECT_EQ(modelopt->kv_type, "fp8");
  auto deepseek = OpenModel("deepseek-ai/DeepSeek-V3.2");
  ASSERT_TRUE(ApplyKvFormat(*deepseek, "fp8_ds_mla").ok());
  EXPECT_EQ(deepseek->ResidentKvBytes(1), 48068);
  EXPECT_THAT(Open("29-gqa-heads-do-not-divide").error().message, HasSubstr("num_key_value_heads"));
}

}  // namespace
}  // namespace moecap::model
