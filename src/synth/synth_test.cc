#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fs.h"
#include "model/catalogue.h"
#include "model/gguf_spec.h"
#include "synth/blocks.h"
#include "synth/router.h"
#include "synth/synthesize.h"

namespace moecap::synth {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

// Small, but with every part of the family.
const char* kTinyQwen3 = R"({"model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 8,
  "num_key_value_heads": 2, "head_dim": 32, "moe_intermediate_size": 64, "intermediate_size": 512, "num_experts": 16,
  "num_experts_per_tok": 4, "vocab_size": 320, "torch_dtype": "bfloat16", "max_position_embeddings": 4096})";

// Every catalogue model of a family that can be expressed: the header counts the parameters of the config, to the last one.
TEST(Plan, FullSizeModelsCountAsTheirConfigs) {
  const auto catalogue = model::ModelCatalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  const std::vector<std::string> families = KnownFamilies();
  int planned = 0;
  for (const model::CatalogueModel& entry : catalogue->models()) {
    const auto spec = model::SpecOf(entry, entry.id);
    ASSERT_TRUE(spec.ok());
    if (std::find(families.begin(), families.end(), spec->model_type) == families.end()) continue;
    const auto plan = PlanModel({entry.id, entry.config_json}, {});
    ASSERT_TRUE(plan.ok()) << entry.id << ": " << plan.error().message;
    EXPECT_EQ(plan->params, spec->TotalParams()) << entry.id;
    ++planned;
  }
  EXPECT_GE(planned, 20);
}

TEST(Plan, ShorterModelsKeepAnMoeLayer) {
  for (const char* id : {"deepseek-ai/DeepSeek-V3", "zai-org/GLM-4.5", "openai/gpt-oss-20b", "Qwen/Qwen1.5-MoE-A2.7B"}) {
    const auto source = OpenSource(id);
    ASSERT_TRUE(source.ok());
    SynthOptions options;
    options.layers = 2;
    const auto plan = PlanModel(*source, options);
    ASSERT_TRUE(plan.ok()) << id << ": " << plan.error().message;
    EXPECT_GT(plan->blueprint.tensors.size(), 20u);
    const std::string& last = plan->blueprint.tensors.back().name;
    EXPECT_TRUE(last.starts_with("blk.1.ffn_") && (last.ends_with("exps.bias") || last.find("exp") != std::string::npos))
        << last;
  }
}

TEST(Plan, RefusesWhatItCannotExpress) {
  const auto error = [](const std::string& config, SynthOptions options = {}) {
    const auto plan = PlanModel({"x", config}, options);
    return plan.ok() ? std::string() : plan.error().message;
  };
  EXPECT_THAT(error(R"({"model_type": "jamba"})"), HasSubstr("no synthetic form for model_type 'jamba'"));
  EXPECT_THAT(error(R"({"model_type": "qwen3_moe"})"), HasSubstr("'num_hidden_layers' is missing"));
  const std::string config = kTinyQwen3;
  EXPECT_THAT(error(std::string(config).replace(config.find("\"head_dim\""), 0, "\"mlp_only_layers\": [1], ")),
              HasSubstr("mlp_only_layers"));
  SynthOptions options;
  options.type = "Q8_1";
  EXPECT_THAT(error(config, options), HasSubstr("no synthetic weights of type Q8_1"));
  options.type = "Q4_KK";
  EXPECT_THAT(error(config, options), HasSubstr("did you mean Q4_K"));
  options = {};
  options.layers = 3;
  EXPECT_THAT(error(config, options), HasSubstr("the model has 2"));
  options = {};
  options.skew_cv = 5;
  EXPECT_THAT(error(config, options), HasSubstr("at most"));
}

TEST(Write, TheFileIsReadBackAndEqualSeedsGiveEqualBytes) {
  const fs::path dir = fs::temp_directory_path() / ("moecap-synth-" + std::to_string(::getpid()));
  fs::create_directories(dir);
  SynthOptions options;
  options.type = "Q4_K";
  options.skew_cv = 0.4;
  const auto plan = PlanModel({"tiny", kTinyQwen3}, options);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  uint64_t last = 0;
  ASSERT_TRUE(WriteModel(*plan, dir / "a.gguf", [&](uint64_t done, uint64_t) { return (last = done) > 0; }).ok());
  EXPECT_EQ(last, plan->file_bytes);
  EXPECT_EQ(fs::file_size(dir / "a.gguf"), plan->file_bytes);
  const auto spec = model::ReadGgufSpec(dir / "a.gguf");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->TotalParams(), plan->params);
  EXPECT_EQ(spec->Experts(), 16);
  ASSERT_TRUE(WriteModel(*plan, dir / "b.gguf", nullptr).ok());
  EXPECT_EQ(*ReadFile(dir / "a.gguf"), *ReadFile(dir / "b.gguf"));
  const Status stopped = WriteModel(*plan, dir / "c.gguf", [](uint64_t, uint64_t) { return false; });
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 2) << "no temporary file is left";
  fs::remove_all(dir);
}

TEST(Write, PartsHoldTheTensorsOfTheWholeFile) {
  const fs::path dir = fs::temp_directory_path() / ("moecap-synth-parts-" + std::to_string(::getpid()));
  const fs::path elsewhere = dir / "elsewhere";
  fs::create_directories(elsewhere);
  SynthOptions options;
  options.type = "Q8_0";
  const auto whole = PlanModel({"tiny", kTinyQwen3}, options);
  options.part_bytes = 300'000;
  const auto split = PlanModel({"tiny", kTinyQwen3}, options);
  ASSERT_TRUE(whole.ok() && split.ok());
  ASSERT_GE(split->parts.size(), 3u);
  for (const model::GgufWriter& part : split->parts) {
    EXPECT_TRUE(part.DataBytes() <= options.part_bytes || part.tensors().size() == 1);
  }
  const std::vector<fs::path> files = FilesOf(*split, dir / "m.gguf");
  fs::create_symlink("elsewhere/second.gguf", files[1]);  // one part on another volume
  ASSERT_TRUE(WriteModel(*whole, dir / "m.gguf", nullptr).ok());
  uint64_t last = 0;
  ASSERT_TRUE(WriteModel(*split, dir / "m.gguf", [&](uint64_t done, uint64_t) { return (last = done) > 0; }).ok());
  EXPECT_EQ(last, split->file_bytes);
  EXPECT_TRUE(fs::is_symlink(files[1]));
  EXPECT_TRUE(fs::is_regular_file(elsewhere / "second.gguf"));

  const auto one = model::ReadGgufHeader(dir / "m.gguf");
  const auto many = model::ReadGgufHeader(files[0]);
  ASSERT_TRUE(one.ok()) << one.error().message;
  ASSERT_TRUE(many.ok()) << many.error().message;
  ASSERT_EQ(many->tensors.size(), one->tensors.size());
  std::string data;  // of all parts, without the padding
  for (size_t i = 0, t = 0; i < files.size(); ++i) {
    const std::string bytes = *ReadFile(files[i]);
    for (const model::GgufPlacement& tensor : split->parts[i].tensors()) {
      EXPECT_EQ(tensor.name, one->tensors[t++].name);
      data += bytes.substr(split->parts[i].Header().size() + tensor.offset, tensor.bytes);
    }
  }
  std::string expected;
  const std::string bytes = *ReadFile(dir / "m.gguf");
  for (const model::GgufPlacement& tensor : whole->parts[0].tensors()) {
    expected += bytes.substr(whole->parts[0].Header().size() + tensor.offset, tensor.bytes);
  }
  EXPECT_EQ(data, expected);
  EXPECT_EQ(model::SpecFromGguf(*many)->TotalParams(), whole->params);

  // Where one part cannot be put in place, none is.
  fs::create_directory(dir / FilesOf(*split, "d.gguf")[1]);
  EXPECT_FALSE(WriteModel(*split, dir / "d.gguf", nullptr).ok());
  for (size_t i = 0; i < files.size(); ++i) EXPECT_FALSE(fs::is_regular_file(dir / FilesOf(*split, "d.gguf")[i])) << i;
  options.part_bytes = 1;
  EXPECT_TRUE(PlanModel({"tiny", kTinyQwen3}, options).ok()) << "a tensor stands alone";

  const Status stopped = WriteModel(*split, dir / "c.gguf", [](uint64_t done, uint64_t total) { return done < total / 2; });
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_FALSE(fs::exists(dir / FilesOf(*split, "c.gguf")[0])) << "no part without the others";
  fs::remove_all(dir);
}

TEST(Router, DeviationsGiveTheCvThatWasAskedFor) {
  for (const double cv : {0.3, 0.8}) {
    const auto deviations = RowDeviations(64, 8, cv, 7);
    ASSERT_TRUE(deviations.ok()) << deviations.error().message;
    EXPECT_NEAR(SimulatedCv(*deviations, 8, 20000, 99), cv, 0.05 * cv + 0.01);
  }
  // All alike: binomial counts leave sqrt((1 - p) / (n p)) with p = k / E.
  EXPECT_NEAR(SimulatedCv(*RowDeviations(64, 8, 0, 7), 8, 20000, 99), std::sqrt(0.875 / (20000 * 0.125)), 0.006);
}

TEST(Half, RoundsAndKeepsSubnormals) {
  EXPECT_EQ(ToHalf(1), 0x3c00);
  EXPECT_EQ(ToHalf(-2), 0xc000);
  EXPECT_EQ(ToHalf(0x1p-14), 0x0400);
  EXPECT_EQ(ToHalf(0x1p-24), 0x0001);
  EXPECT_EQ(ToHalf(0x1.ffep-15), 0x0400) << "rounds up into the normal range";
  EXPECT_EQ(ToHalf(0x1.ffep0), 0x4000) << "rounds up to the next power of two";
  EXPECT_EQ(ToHalf(1e9), 0x7bff);
  EXPECT_EQ(ToHalf(0), 0);
}

}  // namespace
}  // namespace moecap::synth
