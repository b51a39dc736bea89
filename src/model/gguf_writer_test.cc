#include "model/gguf_writer.h"

#include <gtest/gtest.h>

#include <span>

#include "model/gguf.h"

namespace moecap::model {
namespace {

Result<GgufFile> Parse(const std::string& header, uint64_t data_bytes) {
  const std::string file = header + std::string(data_bytes, '\0');
  return ParseGguf(std::as_bytes(std::span(file)));
}

TEST(GgufWriter, WhatIsWrittenIsReadBack) {
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetUint("llama.block_count", 2);
  writer.SetFloat("llama.rope.freq_base", 1e6f);
  writer.SetBool("llama.flag", true);
  writer.SetInts("tokenizer.ggml.token_type", {1, -3});
  writer.SetStrings("tokenizer.ggml.tokens", {"a", "", "bc"});
  writer.AddTensor("norm.weight", {3}, *GgmlTypeByName("F32"));
  writer.AddTensor("m.weight", {64, 5, 2}, *GgmlTypeByName("Q8_0"));

  const auto file = Parse(writer.Header(), writer.DataBytes());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->String("general.architecture"), "llama");
  EXPECT_EQ(file->Int("llama.block_count"), 2);
  EXPECT_EQ(std::get<double>(*file->Find("llama.rope.freq_base")), 1e6);
  EXPECT_EQ(file->Int("llama.flag"), 1);
  EXPECT_EQ(file->Ints("tokenizer.ggml.token_type"), (std::vector<int64_t>{1, -3}));
  EXPECT_EQ(std::get<GgufStringArray>(*file->Find("tokenizer.ggml.tokens")).count, 3u);
  ASSERT_EQ(file->tensors.size(), 2u);
  EXPECT_EQ(file->tensors[0].offset, 0u);
  EXPECT_EQ(file->tensors[1].offset, 32u) << "12 bytes padded";
  EXPECT_EQ(file->tensors[1].dims, (std::vector<int64_t>{64, 5, 2}));
  EXPECT_EQ(file->tensors[1].bytes, 10 * 68);
  EXPECT_EQ(writer.DataBytes(), 32u + 704u) << "680 bytes padded";
  EXPECT_EQ(writer.Header().size() % 32, 0u);
  EXPECT_EQ(file->data_offset, writer.Header().size());
}

}  // namespace
}  // namespace moecap::model
