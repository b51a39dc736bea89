#include "model/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"

namespace moecap::model {
namespace {

constexpr uint64_t kMaxHeaderBytes = uint64_t{1} << 28;
constexpr int64_t kMostBytes = int64_t{1} << 55;

struct Dtype {
  std::string_view name;
  int64_t bits;
};
constexpr std::array kDtypes = {Dtype{"BOOL", 8},    Dtype{"U8", 8},      Dtype{"I8", 8},     Dtype{"F8_E4M3", 8},
                                Dtype{"F8_E5M2", 8}, Dtype{"F8_E8M0", 8}, Dtype{"I16", 16},   Dtype{"U16", 16},
                                Dtype{"F16", 16},    Dtype{"BF16", 16},   Dtype{"I32", 32},   Dtype{"U32", 32},
                                Dtype{"F32", 32},    Dtype{"I64", 64},    Dtype{"U64", 64},   Dtype{"F64", 64},
                                Dtype{"F4", 4},      Dtype{"F6_E2M3", 6}, Dtype{"F6_E3M2", 6}};

std::optional<int64_t> BitsOf(std::string_view dtype) {
  for (const Dtype& known : kDtypes) {
    if (known.name == dtype) return known.bits;
  }
  return std::nullopt;
}

Status ReadShape(const Json& shape, SafetensorsTensor& tensor) {
  tensor.elements = 1;
  for (const Json& entry : shape) {
    if (!entry.is_number_unsigned())
      return BadInput(fmt::format("tensor '{}' has a shape that is not whole numbers", tensor.name));
    const uint64_t size = entry.get<uint64_t>();
    int64_t product = 0;
    if (size > static_cast<uint64_t>(kMostBytes) ||
        __builtin_mul_overflow(tensor.elements, static_cast<int64_t>(size), &product) || product > kMostBytes) {
      return BadInput(fmt::format("tensor '{}' has more elements than can be", tensor.name));
    }
    tensor.elements = product;
    tensor.shape.push_back(static_cast<int64_t>(size));
  }
  return {};
}

Result<SafetensorsTensor> ReadTensor(const std::string& name, const Json& json, int64_t& data_end) {
  SafetensorsTensor tensor;
  tensor.name = name;
  const auto dtype = json.find("dtype");
  const auto shape = json.find("shape");
  const auto offsets = json.find("data_offsets");
  if (!json.is_object() || dtype == json.end() || !dtype->is_string() || shape == json.end() || !shape->is_array() ||
      offsets == json.end() || !offsets->is_array() || offsets->size() != 2) {
    return BadInput(fmt::format("tensor '{}' lacks dtype, shape or data_offsets", name));
  }
  tensor.dtype = dtype->get<std::string>();
  const std::optional<int64_t> bits = BitsOf(tensor.dtype);
  if (!bits) return BadInput(fmt::format("tensor '{}' has the unknown dtype '{}'", name, tensor.dtype));
  RETURN_IF_ERROR(ReadShape(*shape, tensor));
  if (!(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    return BadInput(fmt::format("tensor '{}' has offsets that are not whole numbers", name));
  }
  const uint64_t begin = (*offsets)[0].get<uint64_t>();
  const uint64_t end = (*offsets)[1].get<uint64_t>();
  if (begin > end || end > static_cast<uint64_t>(kMostBytes))
    return BadInput(fmt::format("tensor '{}' has impossible offsets", name));
  tensor.bytes = static_cast<int64_t>(end - begin);
  tensor.offset = static_cast<int64_t>(begin);
  // elements <= 2^55 and bits <= 64: compare in double to stay clear of overflow; both sides are exact up to 2^53.
  if (static_cast<double>(tensor.bytes) * 8 != static_cast<double>(tensor.elements) * static_cast<double>(*bits)) {
    return BadInput(
        fmt::format("tensor '{}': {} bytes do not hold {} elements of {}", name, tensor.bytes, tensor.elements, tensor.dtype));
  }
  data_end = std::max(data_end, static_cast<int64_t>(end));
  return tensor;
}

// Tensors do not share bytes, so that their sums are bounded by the file.
Status RefuseOverlaps(const std::vector<SafetensorsTensor>& tensors) {
  std::vector<const SafetensorsTensor*> by_offset;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.bytes > 0) by_offset.push_back(&tensor);
  }
  std::ranges::sort(by_offset, {}, &SafetensorsTensor::offset);
  for (size_t i = 1; i < by_offset.size(); ++i) {
    if (by_offset[i]->offset >= by_offset[i - 1]->offset + by_offset[i - 1]->bytes) continue;
    return BadInput(fmt::format("the tensors '{}' and '{}' overlap", by_offset[i - 1]->name, by_offset[i]->name));
  }
  return {};
}

}  // namespace

int64_t SafetensorsHeader::Elements() const {
  int64_t sum = 0;
  for (const SafetensorsTensor& tensor : tensors) sum += tensor.elements;
  return sum;
}

int64_t SafetensorsHeader::Bytes() const {
  int64_t sum = 0;
  for (const SafetensorsTensor& tensor : tensors) sum += tensor.bytes;
  return sum;
}

Result<std::optional<SafetensorsHeader>> ParseSafetensorsPrefix(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return std::optional<SafetensorsHeader>();
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length < 2 || length > kMaxHeaderBytes) {
    return BadInput(fmt::format("not a safetensors file: its header would have {} bytes", length));
  }
  if (bytes.size() - sizeof(length) < length) return std::optional<SafetensorsHeader>();
  ASSIGN_OR_RETURN(const Json json,
                   ParseJson(std::string_view(reinterpret_cast<const char*>(bytes.data()) + sizeof(length), length)));
  if (!json.is_object()) return BadInput("not a safetensors file: its header is not a JSON object");
  SafetensorsHeader header;
  int64_t data_end = 0;
  for (const auto& [name, tensor] : json.items()) {
    if (name == "__metadata__") continue;
    ASSIGN_OR_RETURN(SafetensorsTensor read, ReadTensor(name, tensor, data_end));
    header.tensors.push_back(std::move(read));
  }
  RETURN_IF_ERROR(RefuseOverlaps(header.tensors));
  header.file_bytes = static_cast<int64_t>(sizeof(length) + length) + data_end;
  return std::optional<SafetensorsHeader>(std::move(header));
}

Result<SafetensorsHeader> ReadSafetensorsHeader(const std::filesystem::path& path, bool header_only) {
  std::ifstream in(path, std::ios::binary);
  std::error_code code;
  const uint64_t size = std::filesystem::file_size(path, code);
  if (!in || code) return BadInput(fmt::format("cannot open {}", path.string()));
  std::vector<std::byte> prefix(std::min<uint64_t>(size, 8));
  in.read(reinterpret_cast<char*>(prefix.data()), static_cast<std::streamsize>(prefix.size()));
  uint64_t length = 0;
  if (prefix.size() == sizeof(length)) std::memcpy(&length, prefix.data(), sizeof(length));
  prefix.resize(std::min<uint64_t>(size, sizeof(length) + std::min(length, kMaxHeaderBytes)));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(prefix.data()), static_cast<std::streamsize>(prefix.size()));
  Result<std::optional<SafetensorsHeader>> header = ParseSafetensorsPrefix(prefix);
  if (!header.ok()) return Annotate(path.string(), header.error());
  if (!header->has_value() || (!header_only && static_cast<uint64_t>((*header)->file_bytes) > size)) {
    return BadInput(fmt::format("{}: cut off at {} bytes. Download it again.", path.string(), size));
  }
  return **std::move(header);
}

Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const auto map = json.find("weight_map");
  if (!json.is_object() || map == json.end() || !map->is_object()) return BadInput("the field 'weight_map' is missing");
  SafetensorsIndex index;
  std::set<std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string()) return BadInput(fmt::format("weight_map: the shard of '{}' is not a string", name));
    shards.insert(shard.get<std::string>());
    index.names.push_back(name);
    ++index.tensors;
  }
  index.shards.assign(shards.begin(), shards.end());
  if (const auto metadata = json.find("metadata"); metadata != json.end() && metadata->is_object()) {
    const auto total = metadata->find("total_size");
    const double bytes = total != metadata->end() && total->is_number() ? total->get<double>() : -1;
    if (bytes >= 0 && bytes <= static_cast<double>(kMostBytes)) index.total_bytes = static_cast<int64_t>(bytes);
  }
  return index;
}

}  // namespace moecap::model
