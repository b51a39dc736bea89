#include "model/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>
#include <type_traits>

namespace moecap::model {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in memory");

// What no real header exceeds; more is damage.
constexpr uint64_t kMaxStringBytes = uint64_t{1} << 26;
constexpr uint64_t kMaxCount = uint64_t{1} << 40;
constexpr uint32_t kMaxDims = 4;
constexpr int64_t kMaxDimension = int64_t{1} << 40;
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 55;

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

// Reads from the front of a buffer. The first read past its end sets `short_of_bytes` and every later read fails too.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  bool Read(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (!Has(sizeof(T))) return false;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }
  bool ReadText(uint64_t length, std::string& text) {
    if (!Has(length)) return false;
    text.assign(reinterpret_cast<const char*>(bytes_.data() + at_), length);
    at_ += length;
    return true;
  }
  bool Skip(uint64_t length) {
    if (!Has(length)) return false;
    at_ += length;
    return true;
  }
  bool Has(uint64_t length) {
    if (length > bytes_.size() - at_) short_of_bytes_ = true;
    return !short_of_bytes_;
  }
  bool short_of_bytes() const { return short_of_bytes_; }
  uint64_t at() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  bool short_of_bytes_ = false;
};

// A step of the parser: fine, damaged (an Error), or in need of bytes beyond the buffer (Cursor::short_of_bytes).
Error Short() { return BadInput("the header is cut off"); }

Result<std::string> ReadString(Cursor& in, std::string_view what) {
  uint64_t length = 0;
  if (!in.Read(length)) return Short();
  if (length > kMaxStringBytes) return BadInput(fmt::format("{} has a length of {} bytes: the file is damaged", what, length));
  std::string text;
  if (!in.ReadText(length, text)) return Short();
  return text;
}

template <typename T>
Status ReadScalar(Cursor& in, GgufValue& value) {
  T raw{};
  if (!in.Read(raw)) return Short();
  using Unsigned = std::conditional_t<std::is_unsigned_v<T>, uint64_t, int64_t>;
  using Wide = std::conditional_t<std::is_floating_point_v<T>, double, Unsigned>;
  value.emplace<Wide>(static_cast<Wide>(raw));
  return {};
}

template <typename T>
Status ReadNumbers(Cursor& in, uint64_t count, GgufValue& value) {
  if (!in.Has(count * sizeof(T))) return Short();
  using Wide = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
  auto& numbers = value.emplace<std::vector<Wide>>(count);
  for (Wide& number : numbers) {
    T raw{};
    (void)in.Read(raw);
    number = static_cast<Wide>(raw);
  }
  return {};
}

Status ReadArray(Cursor& in, const std::string& key, GgufValue& value) {
  uint32_t type = 0;
  uint64_t count = 0;
  if (!in.Read(type) || !in.Read(count)) return Short();
  if (count > kMaxCount) return BadInput(fmt::format("the array '{}' claims {} entries: the file is damaged", key, count));
  switch (type) {
    case kU8:
      return ReadNumbers<uint8_t>(in, count, value);
    case kI8:
      return ReadNumbers<int8_t>(in, count, value);
    case kU16:
      return ReadNumbers<uint16_t>(in, count, value);
    case kI16:
      return ReadNumbers<int16_t>(in, count, value);
    case kU32:
      return ReadNumbers<uint32_t>(in, count, value);
    case kI32:
      return ReadNumbers<int32_t>(in, count, value);
    case kF32:
      return ReadNumbers<float>(in, count, value);
    case kBool:
      return ReadNumbers<uint8_t>(in, count, value);
    case kU64:
      return ReadNumbers<uint64_t>(in, count, value);
    case kI64:
      return ReadNumbers<int64_t>(in, count, value);
    case kF64:
      return ReadNumbers<double>(in, count, value);
    case kString:
      break;
    default:
      return BadInput(fmt::format("the array '{}' has entries of unknown type {}", key, type));
  }
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t length = 0;
    if (!in.Read(length)) return Short();
    if (length > kMaxStringBytes)
      return BadInput(fmt::format("an entry of '{}' claims {} bytes: the file is damaged", key, length));
    if (!in.Skip(length)) return Short();
  }
  value.emplace<GgufStringArray>(GgufStringArray{count});
  return {};
}

Status ReadValue(Cursor& in, const std::string& key, GgufValue& value) {
  uint32_t type = 0;
  if (!in.Read(type)) return Short();
  switch (type) {
    case kU8:
      return ReadScalar<uint8_t>(in, value);
    case kI8:
      return ReadScalar<int8_t>(in, value);
    case kU16:
      return ReadScalar<uint16_t>(in, value);
    case kI16:
      return ReadScalar<int16_t>(in, value);
    case kU32:
      return ReadScalar<uint32_t>(in, value);
    case kI32:
      return ReadScalar<int32_t>(in, value);
    case kF32:
      return ReadScalar<float>(in, value);
    case kU64:
      return ReadScalar<uint64_t>(in, value);
    case kI64:
      return ReadScalar<int64_t>(in, value);
    case kF64:
      return ReadScalar<double>(in, value);
    case kArray:
      return ReadArray(in, key, value);
    case kBool: {
      uint8_t flag = 0;
      if (!in.Read(flag)) return Short();
      value.emplace<bool>(flag != 0);
      return {};
    }
    case kString: {
      ASSIGN_OR_RETURN(value.emplace<std::string>(), ReadString(in, key));
      return {};
    }
    default:
      return BadInput(fmt::format("the key '{}' has the unknown value type {}", key, type));
  }
}

Status ReadDims(Cursor& in, GgufTensor& tensor) {
  uint32_t dims = 0;
  if (!in.Read(dims)) return Short();
  if (dims > kMaxDims)
    return BadInput(fmt::format("tensor '{}' has {} dimensions, at most {} are possible", tensor.name, dims, kMaxDims));
  tensor.elements = 1;
  for (uint32_t i = 0; i < dims; ++i) {
    int64_t size = 0;
    if (!in.Read(size)) return Short();
    if (size <= 0 || size > kMaxDimension) return BadInput(fmt::format("tensor '{}' has a dimension of {}", tensor.name, size));
    if (tensor.elements > std::numeric_limits<int64_t>::max() / size) {
      return BadInput(fmt::format("tensor '{}' has more elements than can be: the file is damaged", tensor.name));
    }
    tensor.elements *= size;
    tensor.dims.push_back(size);
  }
  if (tensor.dims.empty()) tensor.dims.push_back(1);
  return {};
}

Result<GgufTensor> ReadTensor(Cursor& in) {
  GgufTensor tensor;
  ASSIGN_OR_RETURN(tensor.name, ReadString(in, "a tensor name"));
  RETURN_IF_ERROR(ReadDims(in, tensor));
  uint32_t type_id = 0;
  if (!in.Read(type_id) || !in.Read(tensor.offset)) return Short();
  const std::optional<GgmlType> type = GgmlTypeById(type_id);
  if (!type) {
    return BadInput(fmt::format("tensor '{}' has the type number {}, which this version does not know", tensor.name, type_id));
  }
  tensor.type = *type;
  if (tensor.dims[0] % type->block_elements != 0) {
    return BadInput(fmt::format("tensor '{}': {} elements a row do not divide into {} blocks of {}", tensor.name,
                                tensor.dims[0], type->name, type->block_elements));
  }
  const int64_t blocks = tensor.elements / type->block_elements;
  if (blocks > std::numeric_limits<int64_t>::max() / type->block_bytes) {
    return BadInput(fmt::format("tensor '{}' has more bytes than can be: the file is damaged", tensor.name));
  }
  tensor.bytes = blocks * type->block_bytes;
  return tensor;
}

// Alignment, overlaps, and how long the file has to be.
Status PlaceTensors(uint64_t header_bytes, GgufFile& file) {
  const int64_t alignment = file.Int("general.alignment").value_or(32);
  if (alignment <= 0 || alignment > (int64_t{1} << 30) || !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return BadInput(fmt::format("general.alignment is {}, not a power of two", alignment));
  }
  const auto step = static_cast<uint64_t>(alignment);
  file.data_offset = (header_bytes + step - 1) / step * step;
  file.file_bytes = file.data_offset;
  std::vector<const GgufTensor*> by_offset;
  for (const GgufTensor& tensor : file.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  uint64_t end = 0;
  for (const GgufTensor* tensor : by_offset) {
    const auto bytes = static_cast<uint64_t>(tensor->bytes);
    if (tensor->offset % step != 0 || tensor->offset > kMaxFileBytes || bytes > kMaxFileBytes) {
      return BadInput(fmt::format("tensor '{}' lies at the impossible offset {}", tensor->name, tensor->offset));
    }
    if (tensor->offset < end) return BadInput(fmt::format("tensor '{}' overlaps the tensor before it", tensor->name));
    end = tensor->offset + bytes;
  }
  file.file_bytes += end;
  return {};
}

Status ReadMagic(Cursor& in, GgufFile& file) {
  char magic[4] = {};
  if (!in.Read(magic)) return Short();
  if (std::memcmp(magic, "GGUF", 4) != 0) return BadInput("not a GGUF file: it does not begin with 'GGUF'");
  if (!in.Read(file.version)) return Short();
  if (file.version != 0 && (file.version & 0xffff) == 0) return BadInput("a big-endian GGUF file; convert it to little endian");
  if (file.version < 2 || file.version > 3) {
    return BadInput(fmt::format("GGUF version {} is not supported (2 and 3 are); convert the model again", file.version));
  }
  return {};
}

Result<GgufFile> Parse(Cursor& in) {
  GgufFile file;
  RETURN_IF_ERROR(ReadMagic(in, file));
  uint64_t tensors = 0;
  uint64_t keys = 0;
  if (!in.Read(tensors) || !in.Read(keys)) return Short();
  if (tensors > kMaxCount || keys > kMaxCount)
    return BadInput(fmt::format("{} tensors and {} keys: the file is damaged", tensors, keys));
  for (uint64_t i = 0; i < keys; ++i) {
    ASSIGN_OR_RETURN(std::string key, ReadString(in, "a key"));
    const auto [entry, added] = file.metadata.try_emplace(key);
    if (!added) return BadInput(fmt::format("the key '{}' occurs twice", key));
    RETURN_IF_ERROR(ReadValue(in, key, entry->second));
  }
  std::set<std::string, std::less<>> names;
  for (uint64_t i = 0; i < tensors; ++i) {
    ASSIGN_OR_RETURN(GgufTensor tensor, ReadTensor(in));
    if (!names.insert(tensor.name).second) return BadInput(fmt::format("the tensor '{}' occurs twice", tensor.name));
    file.tensors.push_back(std::move(tensor));
  }
  RETURN_IF_ERROR(PlaceTensors(in.at(), file));
  return file;
}

std::optional<int64_t> AsInt(const GgufValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value)) {
    if (*number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return static_cast<int64_t>(*number);
  }
  return std::nullopt;
}

}  // namespace

const GgufValue* GgufFile::Find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

std::optional<int64_t> GgufFile::Int(std::string_view key) const {
  const GgufValue* value = Find(key);
  return value == nullptr ? std::nullopt : AsInt(*value);
}

std::optional<std::string> GgufFile::String(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr || !std::holds_alternative<std::string>(*value)) return std::nullopt;
  return std::get<std::string>(*value);
}

std::optional<std::vector<int64_t>> GgufFile::Ints(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* list = std::get_if<std::vector<int64_t>>(value)) return *list;
  if (const std::optional<int64_t> one = AsInt(*value)) return std::vector<int64_t>{*one};
  return std::nullopt;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [name](const GgufTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

Result<std::optional<GgufFile>> ParseGgufPrefix(std::span<const std::byte> bytes) {
  Cursor in(bytes);
  Result<GgufFile> file = Parse(in);
  if (in.short_of_bytes()) return std::optional<GgufFile>();
  if (!file.ok()) return file.error();
  return std::optional<GgufFile>(std::move(file).value());
}

Result<GgufFile> ParseGguf(std::span<const std::byte> bytes) {
  ASSIGN_OR_RETURN(std::optional<GgufFile> file, ParseGgufPrefix(bytes));
  if (!file) return BadInput(fmt::format("the GGUF header is cut off: it does not end within {} bytes", bytes.size()));
  return *std::move(file);
}

}  // namespace moecap::model
