#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "model/open_model.h"

namespace moecap::model {
namespace {

using testing::HasSubstr;

std::string File(const std::string& header, size_t data = 0) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, '\0');
}

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

constexpr const char* kHeader = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[3,4],"data_offsets":[0,24]},
  "b.scale":{"dtype":"F32","shape":[],"data_offsets":[24,28]}})";

TEST(Safetensors, ReadsNamesShapesAndBytes) {
  const std::string file = File(kHeader, 28);
  const auto header = ParseSafetensorsPrefix(Bytes(file));
  ASSERT_TRUE(header.ok() && header->has_value());
  EXPECT_EQ((*header)->tensors.size(), 2U);
  EXPECT_EQ((*header)->Elements(), 13);
  EXPECT_EQ((*header)->Bytes(), 28);
  EXPECT_EQ((*header)->file_bytes, static_cast<int64_t>(file.size()));
  for (size_t length = 0; length + 28 < file.size(); ++length) {
    const auto part = ParseSafetensorsPrefix(Bytes(file).first(length));
    ASSERT_TRUE(part.ok());
    EXPECT_FALSE(part->has_value());
  }
}

TEST(Safetensors, DamageIsRefused) {
  const auto error = [](const std::string& header) {
    const auto parsed = ParseSafetensorsPrefix(Bytes(File(header)));
    return parsed.ok() ? "" : parsed.error().message;
  };
  EXPECT_THAT(error(R"({"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,7]}})"), HasSubstr("7 bytes do not hold 3"));
  EXPECT_THAT(error(R"({"a":{"dtype":"B5","shape":[3],"data_offsets":[0,6]}})"), HasSubstr("unknown dtype"));
  EXPECT_THAT(error(R"({"a":{"dtype":"U8","shape":[-3],"data_offsets":[0,6]}})"), HasSubstr("shape"));
  EXPECT_THAT(error(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,6]}})"),
              HasSubstr("more elements"));
  EXPECT_THAT(error(R"({"a":{"dtype":"U8","shape":[6],"data_offsets":[6,0]}})"), HasSubstr("offsets"));
  EXPECT_THAT(error(R"({"a":7})"), HasSubstr("lacks dtype"));
  EXPECT_THAT(
      error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[2,6]},"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})"),
      HasSubstr("'b' and 'a' overlap"));
  EXPECT_THAT(error("[1,2]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error("{{{{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ParseSafetensorsPrefix(Bytes(std::string(16, '\xff'))).error().message, HasSubstr("not a safetensors file"));
}

TEST(Safetensors, ReadsIndexes) {
  const auto index = ParseSafetensorsIndex(
      R"({"metadata":{"total_size":1234},"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}})");
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->total_bytes, 1234);
  EXPECT_EQ(index->tensors, 3U);
  EXPECT_THAT(index->shards, testing::ElementsAre("m-1.safetensors", "m-2.safetensors"));
  EXPECT_EQ(ParseSafetensorsIndex(R"({"metadata":{"total_size":1e300},"weight_map":{}})")->total_bytes, std::nullopt);
  EXPECT_THAT(ParseSafetensorsIndex("{}").error().message, HasSubstr("weight_map"));
}

class OpenModelTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomically(dir_ / name, text).ok());
  }
  TempDir temp_;
  const std::filesystem::path dir_ = temp_.path();
};

constexpr const char* kConfig = R"({"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,
  "num_key_value_heads":2,"intermediate_size":128,"vocab_size":100,"torch_dtype":"bfloat16"})";

TEST_F(OpenModelTest, FoldersFilesAndIdsOpen) {
  Write("config.json", kConfig);
  for (const std::filesystem::path& path : {dir_, dir_ / "config.json", dir_ / ""}) {
    const auto spec = OpenModel(path.string());
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    EXPECT_EQ(spec->id, dir_.filename().string());
    EXPECT_TRUE(spec->notes.empty());
  }
  EXPECT_EQ(OpenModel("allenai/OLMoE-1B-7B-0924")->Experts(), 64);
}

TEST_F(OpenModelTest, ACheckpointOfAnotherSizeIsNoted) {
  Write("config.json", kConfig);
  const double bytes = OpenModel(dir_.string())->WeightBytes();
  Write("model.safetensors.index.json",
        R"({"metadata":{"total_size":)" + std::to_string(static_cast<int64_t>(bytes)) + R"(},"weight_map":{}})");
  EXPECT_TRUE(OpenModel(dir_.string())->notes.empty());
  Write("model.safetensors.index.json", R"({"metadata":{"total_size":99},"weight_map":{}})");
  EXPECT_THAT(OpenModel(dir_.string())->notes, testing::ElementsAre(HasSubstr("holds 99 bytes")));
}

TEST_F(OpenModelTest, FailuresSayWhatToDo) {
  EXPECT_THAT(OpenModel(dir_.string()).error().message, HasSubstr("no config.json"));
  EXPECT_THAT(OpenModel((dir_ / "none.gguf").string()).error().message, HasSubstr("no such file"));
  Write("model.bin", "x");
  EXPECT_THAT(OpenModel((dir_ / "model.bin").string()).error().message, HasSubstr("neither a .gguf file nor a config.json"));
  Write("config.json", R"({"model_type":"llama","hidden_size":64})");
  EXPECT_THAT(OpenModel(dir_.string()).error().message, testing::AllOf(HasSubstr("config.json"), HasSubstr("vocab_size")));
  Write("a.gguf", "GGUF");
  std::filesystem::remove(dir_ / "config.json");
  EXPECT_THAT(OpenModel(dir_.string()).error().message, HasSubstr("Download it again"));
  Write("b.gguf", "GGUF");
  EXPECT_THAT(OpenModel(dir_.string()).error().message, HasSubstr("2 models"));
  EXPECT_THAT(OpenModel("No/Such-Model").error().message, HasSubstr("not in the catalogue"));
}

}  // namespace
}  // namespace moecap::model
