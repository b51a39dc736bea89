#include "model/gguf_writer.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace moecap::model {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little endian");

constexpr uint64_t kAlignment = 32;

// Numbers of the value types in the file.
enum ValueType : uint32_t { kUint16 = 2, kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9 };

uint64_t Padded(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

template <typename T>
void Append(std::string& bytes, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

void AppendText(std::string& bytes, std::string_view text) {
  Append(bytes, uint64_t{text.size()});
  bytes += text;
}

template <typename T>
std::string Raw(T value) {
  std::string bytes;
  Append(bytes, value);
  return bytes;
}

std::string ArrayHead(ValueType type, size_t count) { return Raw(uint32_t{type}) + Raw(uint64_t{count}); }

}  // namespace

void GgufWriter::AddKey(std::string_view key, uint32_t type, std::string_view value) {
  AppendText(keys_, key);
  Append(keys_, type);
  keys_ += value;
  ++key_count_;
}

void GgufWriter::SetUint(std::string_view key, uint32_t value) { AddKey(key, kUint32, Raw(value)); }

void GgufWriter::SetUint16(std::string_view key, uint16_t value) { AddKey(key, kUint16, Raw(value)); }

void GgufWriter::SetInt(std::string_view key, int32_t value) { AddKey(key, kInt32, Raw(value)); }

void GgufWriter::SetFloat(std::string_view key, float value) { AddKey(key, kFloat32, Raw(value)); }

void GgufWriter::SetBool(std::string_view key, bool value) { AddKey(key, kBool, value ? "\1" : std::string_view("\0", 1)); }

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  std::string raw;
  AppendText(raw, value);
  AddKey(key, kString, raw);
}

void GgufWriter::SetInts(std::string_view key, const std::vector<int32_t>& values) {
  std::string raw = ArrayHead(kInt32, values.size());
  for (const int32_t value : values) Append(raw, value);
  AddKey(key, kArray, raw);
}

void GgufWriter::SetStrings(std::string_view key, const std::vector<std::string>& values) {
  std::string raw = ArrayHead(kString, values.size());
  for (const std::string& value : values) AppendText(raw, value);
  AddKey(key, kArray, raw);
}

void GgufWriter::AddTensor(std::string name, std::vector<int64_t> dims, const GgmlType& type) {
  CHECK(!dims.empty() && dims.size() <= 4 && dims[0] % type.block_elements == 0);
  uint64_t elements = 1;
  for (const int64_t dim : dims) {
    CHECK(dim >= 1);
    elements *= static_cast<uint64_t>(dim);
  }
  const uint64_t bytes = elements / static_cast<uint64_t>(type.block_elements) * static_cast<uint64_t>(type.block_bytes);
  tensors_.push_back({std::move(name), std::move(dims), type, data_bytes_, bytes});
  data_bytes_ += Padded(bytes);
}

std::string GgufWriter::Header() const {
  std::string bytes = "GGUF";
  Append(bytes, uint32_t{3});
  Append(bytes, uint64_t{tensors_.size()});
  Append(bytes, key_count_);
  bytes += keys_;
  for (const GgufPlacement& tensor : tensors_) {
    AppendText(bytes, tensor.name);
    Append(bytes, static_cast<uint32_t>(tensor.dims.size()));
    for (const int64_t dim : tensor.dims) Append(bytes, dim);
    Append(bytes, tensor.type.id);
    Append(bytes, tensor.offset);
  }
  bytes.resize(Padded(bytes.size()), '\0');
  return bytes;
}

std::vector<GgufWriter> GgufWriter::Split(uint64_t data_bytes) const {
  std::vector<GgufWriter> parts(1);
  for (const GgufPlacement& tensor : tensors_) {
    if (!parts.back().tensors_.empty() && parts.back().data_bytes_ + Padded(tensor.bytes) > data_bytes) parts.emplace_back();
    parts.back().AddTensor(tensor.name, tensor.dims, tensor.type);
  }
  if (parts.size() == 1) return {*this};
  parts[0].keys_ = keys_;
  parts[0].key_count_ = key_count_;
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i].SetUint16("split.no", static_cast<uint16_t>(i));
    parts[i].SetUint16("split.count", static_cast<uint16_t>(parts.size()));
    parts[i].SetInt("split.tensors.count", static_cast<int32_t>(tensors_.size()));
  }
  return parts;
}

}  // namespace moecap::model
