#include "model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "model/gguf_test_writer.h"

namespace moecap::model {
namespace {

using testing::HasSubstr;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

GgufTestWriter SmallFile() {
  GgufTestWriter file;
  file.Text("general.architecture", "test");
  file.U32("test.block_count", 2);
  file.Bool("test.flag", true);
  file.F32("test.scale", 0.5F);
  file.I32Array("test.heads", {4, 8});
  file.TextArray("tokenizer.ggml.tokens", {"a", "bc", ""});
  file.Tensor("token_embd.weight", {64, 10}, "Q4_0");
  file.Tensor("blk.0.ffn_down_exps.weight", {32, 64, 4}, "F16");
  return file;
}

TEST(Gguf, ReadsMetadataAndTensorTable) {
  for (const uint32_t version : {2U, 3U}) {
    GgufTestWriter writer(version);
    writer.Text("general.architecture", "test");
    writer.U32("test.block_count", 2);
    writer.I32Array("test.heads", {4, -8});
    writer.Tensor("x.weight", {64, 10}, "Q4_0");
    const auto file = ParseGguf(Bytes(writer.Header()));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->version, version);
    EXPECT_EQ(file->String("general.architecture"), "test");
    EXPECT_EQ(file->Int("test.block_count"), 2);
    EXPECT_EQ(file->Ints("test.heads"), (std::vector<int64_t>{4, -8}));
    EXPECT_EQ(file->Ints("test.block_count"), (std::vector<int64_t>{2}));
    EXPECT_EQ(file->Int("general.architecture"), std::nullopt);
    ASSERT_NE(file->FindTensor("x.weight"), nullptr);
    EXPECT_EQ(file->FindTensor("x.weight")->bytes, 10 * 2 * 18);
    EXPECT_EQ(file->data_offset, writer.Header().size());
    EXPECT_EQ(file->file_bytes, writer.Header().size() + 360);
  }
}

TEST(Gguf, EveryPrefixAsksForMoreAndTheWholeHeaderParses) {
  const std::string header = SmallFile().Header();
  size_t needed = 0;
  for (size_t length = 0; length <= header.size(); ++length) {
    const auto parsed = ParseGgufPrefix(Bytes(header).first(length));
    ASSERT_TRUE(parsed.ok()) << length << ": " << parsed.error().message;
    if (parsed->has_value()) {
      needed = length;
      break;
    }
  }
  EXPECT_GT(needed, header.size() - 32);
  EXPECT_THAT(ParseGguf(Bytes(header).first(100)).error().message, HasSubstr("cut off"));
}

TEST(Gguf, StringArraysAreCounted) {
  const auto file = ParseGguf(Bytes(SmallFile().Header()));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(std::get<GgufStringArray>(*file->Find("tokenizer.ggml.tokens")).count, 3U);
}

TEST(Gguf, EveryTypeHasItsBlockSizeOfTheFormat) {
  // Bits per weight as published for the format; a wrong block size shows here.
  const std::vector<std::pair<std::string, double>> bits = {
      {"F32", 32},       {"F16", 16},         {"BF16", 16},      {"Q4_0", 4.5},    {"Q4_1", 5},         {"Q5_0", 5.5},
      {"Q5_1", 6},       {"Q8_0", 8.5},       {"Q2_K", 2.625},   {"Q3_K", 3.4375}, {"Q4_K", 4.5},       {"Q5_K", 5.5},
      {"Q6_K", 6.5625},  {"Q8_K", 9.125},     {"IQ1_S", 1.5625}, {"IQ1_M", 1.75},  {"IQ2_XXS", 2.0625}, {"IQ2_XS", 2.3125},
      {"IQ2_S", 2.5625}, {"IQ3_XXS", 3.0625}, {"IQ3_S", 3.4375}, {"IQ4_NL", 4.5},  {"IQ4_XS", 4.25},    {"TQ1_0", 1.6875},
      {"TQ2_0", 2.0625}, {"MXFP4", 4.25},     {"NVFP4", 4.5},    {"Q1_0", 1.125},  {"Q2_0", 2.25},      {"F64", 64},
      {"I32", 32}};
  for (const auto& [name, expected] : bits) {
    ASSERT_TRUE(GgmlTypeByName(name).has_value()) << name;
    EXPECT_DOUBLE_EQ(GgmlTypeByName(name)->BitsPerElement(), expected) << name;
  }
  EXPECT_EQ(GgmlTypeByName("q4_k")->name, "Q4_K");
  EXPECT_FALSE(GgmlTypeById(4).has_value()) << "removed types are not types";
  for (const GgmlType& type : AllGgmlTypes()) EXPECT_EQ(GgmlTypeById(type.id)->name, type.name);
}

struct Damage {
  std::string name;
  std::string bytes;
  std::string message;
};

std::vector<Damage> DamagedFiles() {
  using W = GgufTestWriter;
  std::vector<Damage> all;
  all.push_back({"magic", "GGML" + std::string(60, '\0'), "does not begin with 'GGUF'"});
  all.push_back({"version 1", W(1).Header(), "version 1"});
  all.push_back({"big endian", "GGUF" + std::string("\0\0\0\3", 4) + std::string(64, '\0'), "big-endian"});
  all.push_back({"counts", "GGUF" + W::Raw(uint32_t{3}) + W::Raw(~uint64_t{0}) + W::Raw(~uint64_t{0}), "damaged"});
  const auto with = [&](const std::string& name, const std::string& message, auto&& fill) {
    GgufTestWriter file;
    fill(file);
    all.push_back({name, file.Header() + std::string(64, '\0'), message});
  };
  with("long string", "damaged", [](W& w) { w.RawKey("k", 8, W::Raw(uint64_t{1} << 60)); });
  with("long array", "damaged", [](W& w) { w.RawKey("k", 9, W::Raw(uint32_t{4}) + W::Raw(uint64_t{1} << 62)); });
  with("long entry", "damaged",
       [](W& w) { w.RawKey("k", 9, W::Raw(uint32_t{8}) + W::Raw(uint64_t{1}) + W::Raw(uint64_t{1} << 61)); });
  with("value type", "unknown value type", [](W& w) { w.RawKey("k", 99, "xxxx"); });
  with("array of arrays", "unknown type 9", [](W& w) { w.RawKey("k", 9, W::Raw(uint32_t{9}) + W::Raw(uint64_t{1})); });
  with("key twice", "'k' occurs twice", [](W& w) { w.U32("k", 1), w.U32("k", 2); });
  with("tensor twice", "'t' occurs twice", [](W& w) { w.Tensor("t", {32}), w.Tensor("t", {32}); });
  with("dimensions", "5 dimensions", [](W& w) { w.TensorAt("t", {1, 1, 1, 1, 1}, 0, 0); });
  with("zero dimension", "dimension of 0", [](W& w) { w.TensorAt("t", {32, 0}, 0, 0); });
  with("negative dimension", "dimension of -1", [](W& w) { w.TensorAt("t", {32, -1}, 0, 0); });
  with("overflow", "more elements", [](W& w) { w.TensorAt("t", {1 << 30, 1 << 30, 1 << 30}, 0, 0); });
  with("type", "type number 4", [](W& w) { w.TensorAt("t", {32}, 4, 0); });
  with("block", "do not divide", [](W& w) { w.TensorAt("t", {33}, 2, 0); });
  with("offset", "impossible offset", [](W& w) { w.TensorAt("t", {32}, 0, 7); });
  with("far offset", "impossible offset", [](W& w) { w.TensorAt("t", {32}, 0, ~uint64_t{31}); });
  with("overlap", "overlaps", [](W& w) { w.TensorAt("a", {32}, 0, 0), w.TensorAt("b", {32}, 0, 64); });
  with("alignment", "general.alignment is 33", [](W& w) { w.U32("general.alignment", 33); });
  return all;
}

TEST(Gguf, DamageIsRefusedInWords) {
  for (const Damage& damage : DamagedFiles()) {
    const auto parsed = ParseGguf(Bytes(damage.bytes));
    ASSERT_FALSE(parsed.ok()) << damage.name;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kBadInput);
    EXPECT_THAT(parsed.error().message, HasSubstr(damage.message)) << damage.name;
  }
}

// Whatever the bytes are, the parser answers and stays inside the buffer (run under ASan in CI).
TEST(Gguf, RandomDamageNeverCrashes) {
  const std::string header = SmallFile().Header();
  std::mt19937 rng(20);
  std::uniform_int_distribution<size_t> place(0, header.size() - 1);
  std::uniform_int_distribution<int> value(0, 255);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string damaged = header;
    for (int i = 0; i <= trial % 4; ++i) damaged[place(rng)] = static_cast<char>(value(rng));
    const auto parsed = ParseGgufPrefix(Bytes(damaged));
    if (parsed.ok() && parsed->has_value()) {
      EXPECT_LE((*parsed)->tensors.size(), 2U);
    }
  }
}

class GgufFileTest : public testing::Test {
 protected:
  std::filesystem::path Write(const std::string& name, const std::string& bytes) const {
    EXPECT_TRUE(WriteFileAtomically(dir_ / name, bytes).ok());
    return dir_ / name;
  }
  TempDir temp_;
  const std::filesystem::path dir_ = temp_.path();
};

TEST_F(GgufFileTest, AcceptsAWholeFileAndNamesWhatACutOneLacks) {
  const std::string bytes = SmallFile().File();
  EXPECT_TRUE(ReadGgufHeader(Write("whole.gguf", bytes)).ok());
  const auto cut = ReadGgufHeader(Write("cut.gguf", bytes.substr(0, bytes.size() - 100)));
  ASSERT_FALSE(cut.ok());
  EXPECT_THAT(cut.error().message, testing::AllOf(HasSubstr("cut.gguf"), HasSubstr("1 of 2 tensors"),
                                                  HasSubstr("blk.0.ffn_down_exps.weight"), HasSubstr("Download it again")));
  EXPECT_THAT(ReadGgufHeader(Write("short.gguf", bytes.substr(0, 50))).error().message, HasSubstr("inside its header"));
  EXPECT_THAT(ReadGgufHeader(Write("empty.gguf", "")).error().message, HasSubstr("inside its header"));
  EXPECT_THAT(ReadGgufHeader(dir_ / "none.gguf").error().message, HasSubstr("No such file"));
  EXPECT_THAT(ReadGgufHeader(dir_).error().message, HasSubstr("a folder"));
}

TEST_F(GgufFileTest, HeadersLongerThanTheFirstReadAreReadWhole) {
  GgufTestWriter writer;
  writer.Text("general.architecture", std::string(9 << 20, 'x'));
  writer.Tensor("t", {32});
  const auto file = ReadGgufHeader(Write("long.gguf", writer.File()));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors.size(), 1U);
}

TEST_F(GgufFileTest, PartsOfASplitModelAreMerged) {
  GgufTestWriter first;
  first.Text("general.architecture", "test");
  first.U32("split.count", 2);
  first.U32("split.tensors.count", 2);
  first.Tensor("a", {32});
  GgufTestWriter second;
  second.U32("split.count", 2);
  second.Tensor("b", {64});
  const auto path = Write("m-00001-of-00002.gguf", first.File());
  EXPECT_THAT(ReadGgufHeader(path).error().message, HasSubstr("m-00002-of-00002.gguf"));
  const auto later = Write("m-00002-of-00002.gguf", second.File());
  const auto file = ReadGgufHeader(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors.size(), 2U);
  EXPECT_THAT(ReadGgufHeader(later).error().message, HasSubstr("-00001-of-00002.gguf"));
}

}  // namespace
}  // namespace moecap::model
