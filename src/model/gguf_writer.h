// Layout of a GGUF file (version 3, little endian): header bytes and where each tensor's data goes. Pure: writes no file.
// Format: docs/gguf.md of ggml.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/ggml_type.h"

namespace moecap::model {

struct GgufPlacement {
  std::string name;
  std::vector<int64_t> dims;  // fastest first
  GgmlType type;
  uint64_t offset = 0;  // in the data section, a multiple of 32
  uint64_t bytes = 0;
};

class GgufWriter {
 public:
  void SetUint(std::string_view key, uint32_t value);
  void SetUint16(std::string_view key, uint16_t value);
  void SetInt(std::string_view key, int32_t value);
  void SetFloat(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetInts(std::string_view key, const std::vector<int32_t>& values);
  void SetStrings(std::string_view key, const std::vector<std::string>& values);

  // Places a tensor behind the earlier ones. Requires 1 to 4 dimensions of at least 1, the first a multiple of the type's
  // block.
  void AddTensor(std::string name, std::vector<int64_t> dims, const GgmlType& type);

  const std::vector<GgufPlacement>& tensors() const { return tensors_; }
  // The bytes before the data section, padded; the data section follows directly.
  std::string Header() const;
  // Of the data section: every tensor padded to 32 bytes.
  uint64_t DataBytes() const { return data_bytes_; }

  // The same model in several files, as llama-gguf-split makes them: tensors in order, at most `data_bytes` of them in each
  // (one that is larger stands alone), the keys in the first, and in all which part it is. One part: this layout as it is.
  std::vector<GgufWriter> Split(uint64_t data_bytes) const;

 private:
  void AddKey(std::string_view key, uint32_t type, std::string_view value);

  uint64_t key_count_ = 0;
  std::string keys_;
  std::vector<GgufPlacement> tensors_;
  uint64_t data_bytes_ = 0;
};

}  // namespace moecap::model
