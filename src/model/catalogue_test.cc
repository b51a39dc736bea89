#include "model/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "model/open_model.h"

namespace moecap::model {
namespace {

using testing::HasSubstr;

const ModelCatalogue& Builtin() {
  static const ModelCatalogue catalogue = [] {
    auto parsed = ModelCatalogue::Builtin();
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    return *parsed;
  }();
  return catalogue;
}

TEST(ModelCatalogue, EveryEntryGivesASpecAndHasASource) {
  EXPECT_GE(Builtin().models().size(), 85U);
  for (const CatalogueModel& entry : Builtin().models()) {
    const auto spec = SpecOf(entry, entry.id);
    EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
    EXPECT_FALSE(entry.config_source.empty());
    EXPECT_THAT(entry.config_provenance, testing::AnyOf("verbatim", "reconstructed", "recalled",
                                                        testing::StartsWith("verbatim"), testing::StartsWith("reconstructed")))
        << entry.id;
  }
}

// The published checkpoints, to the last parameter; known stray tensors are part of the entry.
TEST(ModelCatalogue, CheckpointTotalsAreReproducedExactly) {
  int exact = 0;
  for (const CatalogueModel& entry : Builtin().models()) {
    if (!entry.checkpoint_total_params || entry.checkpoint_counts.empty()) continue;
    const auto spec = SpecOf(entry, entry.id);
    ASSERT_TRUE(spec.ok());
    int64_t count = spec->TotalParams() + entry.checkpoint_difference;
    if (entry.checkpoint_counts.find("mtp") != std::string::npos) count += spec->mtp.Params();
    if (entry.checkpoint_counts.find("copies") != std::string::npos) count += spec->mtp_copy_params;
    if (entry.checkpoint_counts.find("vision") != std::string::npos) count += entry.vision_params;
    if (entry.checkpoint_counts.find("integer_tables") != std::string::npos) count += entry.integer_table_entries;
    EXPECT_EQ(count, *entry.checkpoint_total_params) << entry.id;
    ++exact;
  }
  EXPECT_GE(exact, 30);
}

// Published totals are rounded ("30B"); where ours is farther off than rounding explains, the entry says why.
TEST(ModelCatalogue, PublishedTotalsAgreeWithinOnePercentOrAreExplained) {
  for (const CatalogueModel& entry : Builtin().models()) {
    if (!entry.published_total_params) continue;
    const auto spec = SpecOf(entry, entry.id);
    ASSERT_TRUE(spec.ok());
    const double published = *entry.published_total_params;
    const auto ours = static_cast<double>(spec->TotalParams());
    if (std::abs(ours / published - 1) > 0.01) {
      EXPECT_FALSE(entry.note.empty()) << entry.id << ": " << ours << " against " << published;
    }
    EXPECT_LT(std::abs(ours / published - 1), 0.06) << entry.id << ": " << ours << " against " << published;
  }
}

void CompareExact(const Json& golden, const ModelSpec& spec) {
  const std::string& id = spec.id;
  EXPECT_EQ(spec.TotalParams(), golden["total"].get<int64_t>()) << id;
  EXPECT_EQ(spec.ActiveParams(), golden["active"].get<int64_t>()) << id;
  EXPECT_EQ(spec.ActiveParamsNoInputEmbedding(), golden["active_no_input_embedding"].get<int64_t>()) << id;
  EXPECT_EQ(spec.ActiveParamsNoEmbeddings(), golden["active_no_embeddings"].get<int64_t>()) << id;
  EXPECT_EQ(spec.mtp.Params(), golden["mtp"].get<int64_t>()) << id;
  EXPECT_EQ(spec.mtp_copy_params, golden["mtp_copies"].get<int64_t>()) << id;
  EXPECT_EQ(spec.KvElementsPerToken(), golden["kv_elements_per_token"].get<double>()) << id;
  EXPECT_EQ(spec.StateElementsPerSequence(), golden["state"].get<int64_t>() + golden["conv_state"].get<int64_t>()) << id;
  std::map<std::pair<int64_t, int64_t>, int> windows;
  for (const LayerSpec& layer : spec.layers) {
    for (const KvCacheSpec& cache : layer.attention.caches) {
      if (cache.window > 0) ++windows[{cache.window, cache.elements}];
    }
  }
  for (const Json& window : golden["windowed"]) {
    const std::pair key{window["window"].get<int64_t>(), window["elems_per_token"].get<int64_t>()};
    EXPECT_EQ(windows[key], window["layers"].get<int>()) << id;
    windows.erase(key);
  }
  EXPECT_TRUE(windows.empty()) << id;
}

void CompareRounded(const Json& golden, const ModelSpec& spec) {
  const auto billions = [](int64_t params) { return static_cast<double>(params) / 1e9; };
  EXPECT_NEAR(billions(spec.TotalParams()), golden["total_b"].get<double>(), 0.00051) << spec.id;
  EXPECT_NEAR(billions(spec.mtp.Params()), golden["mtp_b"].get<double>(), 0.0051) << spec.id;
  EXPECT_NEAR(billions(spec.ActiveParams()), golden["active_b"][0].get<double>(), 0.0051) << spec.id;
  EXPECT_NEAR(billions(spec.ActiveParamsNoInputEmbedding()), golden["active_b"][1].get<double>(), 0.0051) << spec.id;
  EXPECT_NEAR(billions(spec.ActiveParamsNoEmbeddings()), golden["active_b"][2].get<double>(), 0.0051) << spec.id;
  EXPECT_EQ(spec.KvElementsPerToken(), golden["kv_elements_per_token"].get<double>()) << spec.id;
  EXPECT_EQ(spec.StateElementsPerSequence(), golden["all_state"].get<int64_t>()) << spec.id;
}

// Every count against an independent program.
TEST(ModelCatalogue, CountsEqualTheGoldenOnes) {
  const auto text = ReadFile(MOECAP_SOURCE_DIR "/tests/golden/model_counts.json");
  ASSERT_TRUE(text.ok()) << text.error().message;
  const auto json = ParseJson(*text);
  ASSERT_TRUE(json.ok());
  int checked = 0;
  for (const Json& golden : (*json)["models"]) {
    const auto entry = Builtin().Find(golden["id"].get<std::string>());
    ASSERT_TRUE(entry.ok()) << entry.error().message;
    const auto spec = SpecOf(*entry, entry->id);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    golden.contains("rounded") ? CompareRounded(golden, *spec) : CompareExact(golden, *spec);
    ++checked;
  }
  EXPECT_EQ(checked, 85);
}

// Files whose payload is known to the byte.
TEST(ModelCatalogue, BytesOfPublishedFilesAreReproduced) {
  const auto gpt = OpenModel("openai/gpt-oss-20b");
  ASSERT_TRUE(gpt.ok());
  EXPECT_EQ(gpt->WeightBytes(), 13761264768.0);
  EXPECT_EQ(gpt->weight_type, "mxfp4");
  const auto v3 = OpenModel("deepseek-ai/DeepSeek-V3");
  ASSERT_TRUE(v3.ok());
  EXPECT_EQ(v3->WeightBytes() + v3->mtp.Bytes() + v3->mtp_copy_bytes, 688574839360.0);
  EXPECT_EQ(v3->weight_type, "fp8");
  EXPECT_EQ(v3->compute_type, "fp8");
  const auto qwen = OpenModel("Qwen/Qwen3.5-397B-A17B");
  ASSERT_TRUE(qwen.ok());
  EXPECT_EQ(qwen->WeightBytes(), 792692717952.0);
}

TEST(ModelCatalogue, FindsByIdAliasAndShortName) {
  EXPECT_EQ(Builtin().Find("qwen/qwen3-30b-a3b")->id, "Qwen/Qwen3-30B-A3B");
  EXPECT_EQ(Builtin().Find("Qwen3-30B-A3B")->id, "Qwen/Qwen3-30B-A3B");
  EXPECT_EQ(Builtin().Find("deepseek-ai/DeepSeek-R1")->id, "deepseek-ai/DeepSeek-V3");
  EXPECT_EQ(OpenModel("deepseek-ai/DeepSeek-R1")->id, "deepseek-ai/DeepSeek-R1");
  const auto typo = Builtin().Find("Qwen/Qwen3-30B-A3");
  ASSERT_FALSE(typo.ok());
  EXPECT_THAT(typo.error().message, testing::AllOf(HasSubstr("did you mean 'Qwen/Qwen3-30B-A3B'"), HasSubstr("config.json")));
}

TEST(ModelCatalogue, BrokenCataloguesAreRefused) {
  EXPECT_THAT(ModelCatalogue::Parse("{}").error().message, HasSubstr("'models' is missing"));
  EXPECT_THAT(ModelCatalogue::Parse(R"({"models":[{"id":"a"}]})").error().message, HasSubstr("a: 'config' is missing"));
  EXPECT_THAT(ModelCatalogue::Parse(R"({"models":[{"id":"a","config":{}}]})").error().message, HasSubstr("config_source"));
  EXPECT_THAT(ModelCatalogue::Parse(
                  R"({"models":[{"id":"a","config":{},"config_source":"x"},{"id":"A","config":{},"config_source":"x"}]})")
                  .error()
                  .message,
              HasSubstr("occurs twice"));
}

}  // namespace
}  // namespace moecap::model
