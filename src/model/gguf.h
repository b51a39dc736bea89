// Reader of GGUF headers (versions 2 and 3, little endian): metadata and tensor table; never the tensor data.
// Format: docs/gguf.md of ggml, gguf.h of the pinned engine release.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/ggml_type.h"

namespace moecap::model {

// Arrays of strings (the tokenizer) are counted, not kept.
struct GgufStringArray {
  uint64_t count = 0;
};
using GgufValue =
    std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<int64_t>, std::vector<double>, GgufStringArray>;

struct GgufTensor {
  std::string name;
  std::vector<int64_t> dims;  // 1 to 4, fastest first: reversed against the Hugging Face shape
  GgmlType type;
  uint64_t offset = 0;  // in the data section
  int64_t elements = 0;
  int64_t bytes = 0;
};

struct GgufFile {
  uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensor> tensors;
  uint64_t data_offset = 0;  // of the data section in the file
  uint64_t file_bytes = 0;   // bytes the file must at least have: data_offset + end of the last tensor

  const GgufValue* Find(std::string_view key) const;
  // Null when the key is missing or of another kind. Integers of every width and bools convert; negative ones stay negative.
  std::optional<int64_t> Int(std::string_view key) const;
  std::optional<std::string> String(std::string_view key) const;
  // A scalar gives one entry.
  std::optional<std::vector<int64_t>> Ints(std::string_view key) const;
  const GgufTensor* FindTensor(std::string_view name) const;
};

// Parses the header in `bytes`, the first bytes of a file (or all of it). Error kBadInput: not GGUF, another version or byte
// order, lengths that cannot be, an unknown tensor type, overlapping or unaligned tensors. Null: the header is longer than
// `bytes`; come back with more. Never reads outside `bytes` and never allocates more than a small multiple of its size.
Result<std::optional<GgufFile>> ParseGgufPrefix(std::span<const std::byte> bytes);

// The same for a whole header: "cut off" is an error.
Result<GgufFile> ParseGguf(std::span<const std::byte> bytes);

// Reads the header of a file, and of all parts when it is the first of a split model (`-00001-of-0000N.gguf`), merging their
// tensor tables. Error kBadInput with a remedy also when a file is shorter than its tensor table says.
Result<GgufFile> ReadGgufHeader(const std::filesystem::path& path);

}  // namespace moecap::model
