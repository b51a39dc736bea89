#include "planner/system_support.h"

#include <gtest/gtest.h>

#include "hardware/catalogue.h"
#include "model/catalogue.h"
#include "planner/candidate.h"

namespace moecap::planner {
namespace {

class SystemSupportTest : public testing::Test {
 protected:
  static model::ModelSpec Type(const char* model_type) {
    model::ModelSpec spec;
    spec.model_type = model_type;
    return spec;
  }
  hardware::Device Device(const char* id) const { return *devices_.FindDevice(id); }

  hardware::Catalogue devices_ = *hardware::Catalogue::Builtin();
  SystemSupport support_ = *SystemSupport::Builtin();
};

TEST_F(SystemSupportTest, KnowsWhoHasWhichModel) {
  const model::ModelSpec switch_c = Type("switch_transformers");
  for (const char* system : {"vllm", "sglang", "trtllm", "llama-server", "ollama", "ktransformers"})
    EXPECT_EQ(support_.Serves(system, switch_c), Served::kNo) << system;
  EXPECT_EQ(support_.Serves("moe-infinity", switch_c), Served::kYes);
  EXPECT_EQ(support_.Serves("transformers", switch_c), Served::kYes);
  EXPECT_EQ(support_.Serves("llama-server", Type("qwen3_moe")), Served::kYes);
  EXPECT_EQ(support_.Serves("vllm", Type("what_comes_next_year")), Served::kUnknown);
  EXPECT_EQ(support_.Serves("a-new-server", Type("qwen3_moe")), Served::kUnknown);
  EXPECT_EQ(support_.WhyNotModel("llama-server", switch_c), "llama-server (v0.5.0) has no switch_transformers");
}

TEST_F(SystemSupportTest, FindsAFamilyByAnyOfItsNames) {
  EXPECT_EQ(support_.Serves("ktransformers", Type("qwen3moe")), Served::kYes) << "as GGUF calls it";
  EXPECT_EQ(support_.Serves("ktransformers", Type("Qwen3_MoE")), Served::kYes);
  EXPECT_EQ(support_.Serves("moe-infinity", Type("gpt-oss")), Served::kNo);
  EXPECT_EQ(support_.Serves("moe-infinity", Type("llama")), Served::kYes) << "GGUF's llama: Mixtral, too";
}

TEST_F(SystemSupportTest, AModelMayNeedADevice) {
  const model::ModelSpec v4 = Type("deepseek_v4"), v3 = Type("deepseek_v3");
  EXPECT_EQ(support_.Serves("trtllm", v4, Device("b200-sxm")), Served::kYes);
  EXPECT_EQ(support_.Serves("trtllm", v4, Device("h200-sxm")), Served::kNo) << "Blackwell only";
  EXPECT_EQ(support_.Serves("sglang", v4, Device("h200-sxm")), Served::kYes);
  EXPECT_EQ(support_.Serves("trtllm", v3, Device("h200-sxm")), Served::kYes);
  EXPECT_EQ(support_.Serves("trtllm", Type("switch_transformers"), Device("b200-sxm")), Served::kNo);
  EXPECT_EQ(support_.Serves("trtllm", Type("what_comes_next_year"), Device("h200-sxm")), Served::kUnknown);
  EXPECT_TRUE(support_.WhyNotModel("trtllm", v4, Device("h200-sxm")).ends_with("has no deepseek_v4 on H200 SXM"));
}

TEST_F(SystemSupportTest, TypesOfWeightsNeedWhatADeviceMultiplies) {
  EXPECT_TRUE(support_.Loads("trtllm", "fp8", Device("h100-sxm")));
  EXPECT_FALSE(support_.Loads("trtllm", "fp8", Device("a100-80-sxm"))) << "Ampere has no fp8";
  EXPECT_TRUE(support_.Loads("vllm", "fp8", Device("a100-80-sxm"))) << "weights alone, by Marlin";
  EXPECT_TRUE(support_.Loads("vllm", "fp8", Device("mi300x")));
  EXPECT_FALSE(support_.Loads("vllm", "fp8", Device("mi250x")));
  EXPECT_FALSE(support_.Loads("trtllm", "nvfp4", Device("h200-sxm")));
  EXPECT_TRUE(support_.Loads("trtllm", "nvfp4", Device("b200-sxm")));
  EXPECT_FALSE(support_.Loads("vllm", "nvfp4", Device("mi355x")));
  EXPECT_FALSE(support_.Loads("llama-server", "fp8", Device("h100-sxm"))) << "GGUF has none";
  EXPECT_TRUE(support_.Loads("llama-server", "q8_0", Device("m3-max")));
  EXPECT_FALSE(support_.Loads("vllm", "q8_0", Device("h100-sxm")));
  EXPECT_TRUE(support_.Loads("vllm", "int4-g32", Device("h100-sxm")));
  EXPECT_FALSE(support_.Loads("moe-infinity", "fp8", Device("rtx-4090")));
  EXPECT_TRUE(support_.Loads("vllm", "a-type-of-next-year", Device("h100-sxm"))) << "nobody was asked about it";
  EXPECT_EQ(support_.WhyNotType("trtllm", "nvfp4", Device("h200-sxm")).substr(0, 8), "trtllm (");
}

TEST(WeightKind, GroupsTypes) {
  EXPECT_EQ(WeightKind("bf16"), "plain");
  EXPECT_EQ(WeightKind("F32"), "plain");
  EXPECT_EQ(WeightKind("Q4_K"), "gguf");
  EXPECT_EQ(WeightKind("iq4_xs"), "gguf");
  EXPECT_EQ(WeightKind("int4-g128"), "int4");
  EXPECT_EQ(WeightKind("MXFP4"), "mxfp4");
}

// Every model of the catalogue is in the table, so that no plan says "not checked" of one.
TEST_F(SystemSupportTest, KnowsTheCatalogue) {
  const model::ModelCatalogue models = *model::ModelCatalogue::Builtin();
  for (const model::CatalogueModel& entry : models.models()) {
    const auto spec = model::SpecOf(entry, entry.id);
    ASSERT_TRUE(spec.ok()) << entry.id;
    EXPECT_NE(support_.Serves("vllm", *spec), Served::kUnknown) << entry.id << " " << spec->model_type;
  }
}

// Every system that the search proposes is one whose models are known.
TEST_F(SystemSupportTest, KnowsTheSystemsOfTheSearch) {
  for (const hardware::Device& device : devices_.devices()) {
    for (const Residence residence : {Residence::kDevice, Residence::kExecute, Residence::kCopy, Residence::kSsd}) {
      for (const std::string& system : SystemsOf(device, residence)) EXPECT_NE(support_.Find(system), nullptr) << system;
    }
  }
}

TEST(SystemSupportParse, NamesWhatIsWrong) {
  const auto error = [](const char* text) {
    const auto support = SystemSupport::Parse(text);
    return support.ok() ? std::string() : support.error().message;
  };
  EXPECT_NE(error("{}").find("'systems'"), std::string::npos);
  EXPECT_NE(error(R"({"systems": [{"system": "a"}], "models": []})").find("'a' needs"), std::string::npos);
  const std::string one = R"({"system": "a", "version": "1", "date": "2026-11", "source": "s"})";
  EXPECT_NE(error((R"({"systems": [)" + one + "," + one + R"(], "models": []})").c_str()).find("a is there twice"),
            std::string::npos);
  EXPECT_NE(error((R"({"systems": [)" + one + R"(], "models": [{"architecture": "X", "systems": ["b"]}]})").c_str())
                .find("X: 'b' is not among"),
            std::string::npos);
  EXPECT_NE(error((R"({"systems": [)" + one + R"(], "models": [{"systems": []}]})").c_str()).find("no architecture"),
            std::string::npos);
}

}  // namespace
}  // namespace moecap::planner
