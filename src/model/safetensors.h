// Safetensors headers and shard indexes: what a checkpoint really holds, to check a config's count against.
// Format: 8-byte little-endian header length, then JSON {name: {dtype, shape, data_offsets}}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::model {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "BF16", "F8_E4M3", "U8", ...
  std::vector<int64_t> shape;
  int64_t elements = 0;
  int64_t bytes = 0;   // of the data section
  int64_t offset = 0;  // of its first byte in the data section
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors;
  int64_t file_bytes = 0;  // bytes the file must have

  int64_t Elements() const;
  int64_t Bytes() const;
};

// `bytes` begins at the file's start. Null: the header is longer than `bytes`. Errors kBadInput: lengths that cannot be, an
// unknown dtype, offsets that contradict dtype and shape. Allocates no more than a small multiple of `bytes`.
Result<std::optional<SafetensorsHeader>> ParseSafetensorsPrefix(std::span<const std::byte> bytes);

// Reads the header of a file and checks that its data is complete; with `header_only` it need not be.
Result<SafetensorsHeader> ReadSafetensorsHeader(const std::filesystem::path& path, bool header_only = false);

struct SafetensorsIndex {
  std::optional<int64_t> total_bytes;  // metadata.total_size
  std::vector<std::string> shards;     // file names, sorted, each once
  std::vector<std::string> names;      // of all tensors
  size_t tensors = 0;
};
Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text);

}  // namespace moecap::model
