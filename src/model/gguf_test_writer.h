// Writes small GGUF files for tests, byte by byte as the format says, independently of the reader.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "model/ggml_type.h"

namespace moecap::model {

class GgufTestWriter {
 public:
  explicit GgufTestWriter(uint32_t version = 3) : version_(version) {}

  void U32(const std::string& key, uint32_t value) { AddKey(key, 4, Raw(value)); }
  void F32(const std::string& key, float value) { AddKey(key, 6, Raw(value)); }
  void Bool(const std::string& key, bool value) { AddKey(key, 7, std::string(1, value ? '\1' : '\0')); }
  void Text(const std::string& key, const std::string& value) { AddKey(key, 8, Raw(uint64_t{value.size()}) + value); }
  void I32Array(const std::string& key, const std::vector<int32_t>& values) {
    std::string raw = Raw(uint32_t{5}) + Raw(uint64_t{values.size()});
    for (const int32_t value : values) raw += Raw(value);
    AddKey(key, 9, raw);
  }
  void BoolArray(const std::string& key, const std::vector<bool>& values) {
    std::string raw = Raw(uint32_t{7}) + Raw(uint64_t{values.size()});
    for (const bool value : values) raw += value ? '\1' : '\0';
    AddKey(key, 9, raw);
  }
  void TextArray(const std::string& key, const std::vector<std::string>& values) {
    std::string raw = Raw(uint32_t{8}) + Raw(uint64_t{values.size()});
    for (const std::string& value : values) raw += Raw(uint64_t{value.size()}) + value;
    AddKey(key, 9, raw);
  }
  void RawKey(const std::string& key, uint32_t type, const std::string& value) { AddKey(key, type, value); }

  // Dimensions fastest first.
  void Tensor(const std::string& name, const std::vector<int64_t>& dims, const std::string& type = "F32") {
    const GgmlType known = *GgmlTypeByName(type);
    int64_t elements = 1;
    for (const int64_t dim : dims) elements *= dim;
    TensorAt(name, dims, known.id, data_bytes_);
    data_bytes_ += Padded(static_cast<uint64_t>(elements / known.block_elements * known.block_bytes));
  }
  void TensorAt(const std::string& name, const std::vector<int64_t>& dims, uint32_t type, uint64_t offset) {
    tensors_ += Raw(uint64_t{name.size()}) + name + Raw(static_cast<uint32_t>(dims.size()));
    for (const int64_t dim : dims) tensors_ += Raw(dim);
    tensors_ += Raw(type) + Raw(offset);
    ++tensor_count_;
  }

  // The header, padded to the data section.
  std::string Header() const {
    std::string bytes = "GGUF" + Raw(version_) + Raw(tensor_count_) + Raw(key_count_) + keys_ + tensors_;
    bytes.resize(Padded(bytes.size()));
    return bytes;
  }
  // Header and zeros for the data.
  std::string File() const { return Header() + std::string(data_bytes_, '\0'); }
  uint64_t data_bytes() const { return data_bytes_; }

  template <typename T>
  static std::string Raw(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }

 private:
  static uint64_t Padded(uint64_t size) { return (size + 31) / 32 * 32; }
  void AddKey(const std::string& key, uint32_t type, const std::string& value) {
    keys_ += Raw(uint64_t{key.size()}) + key + Raw(type) + value;
    ++key_count_;
  }

  uint32_t version_;
  uint64_t key_count_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t data_bytes_ = 0;
  std::string keys_;
  std::string tensors_;
};

}  // namespace moecap::model
