#include "trace/torch_file.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string_view>

#include "trace/zip_file.h"

namespace moecap::trace {
namespace {

constexpr size_t kMostPickleBytes = size_t{1} << 28;

struct IntType {
  std::string_view storage;
  int width;
  bool is_signed;
};
constexpr std::array kIntTypes = {IntType{"IntStorage", 4, true},   IntType{"LongStorage", 8, true},
                                  IntType{"ShortStorage", 2, true}, IntType{"CharStorage", 1, true},
                                  IntType{"ByteStorage", 1, false}, IntType{"BoolStorage", 1, false}};

// The last part of "stem/data/key", when the middle is "data".
std::string_view StorageKey(std::string_view name) {
  const size_t slash = name.rfind('/');
  if (slash == std::string_view::npos || !name.substr(0, slash).ends_with("/data")) return {};
  return name.substr(slash + 1);
}

// Index of the last element + 1 in the storage, or -1 when it cannot be.
int64_t ExtentOf(const PickleTensor& tensor, int64_t& elements) {
  elements = 1;
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.sizes.size(); ++i) {
    int64_t step = 0;
    if (tensor.sizes[i] < 0 || tensor.strides[i] < 0) return -1;
    if (__builtin_mul_overflow(elements, tensor.sizes[i], &elements)) return -1;
    if (tensor.sizes[i] > 0 && __builtin_mul_overflow(tensor.sizes[i] - 1, tensor.strides[i], &step)) return -1;
    if (__builtin_add_overflow(last, step, &last)) return -1;
  }
  return last == INT64_MAX ? -1 : last + 1;
}

}  // namespace

int64_t IntTensor::Element(int64_t index) const {
  const std::byte* at = storage_.data() + index * width_;
  const auto load = [at](auto value) {
    std::memcpy(&value, at, sizeof value);
    return static_cast<int64_t>(value);
  };
  switch (width_) {
    case 8:
      return load(int64_t{});
    case 4:
      return load(int32_t{});
    case 2:
      return load(int16_t{});
    default:
      return signed_ ? load(int8_t{}) : load(uint8_t{});
  }
}

Result<TorchFile> TorchFile::Parse(std::span<const std::byte> bytes) {
  ASSIGN_OR_RETURN(const std::vector<ZipEntry> entries, ListStoredZip(bytes));
  TorchFile file;
  const ZipEntry* pickle = nullptr;
  for (const ZipEntry& entry : entries) {
    if (entry.name.ends_with("/data.pkl")) pickle = &entry;
    if (entry.name.ends_with("/byteorder") && !entry.data.empty() &&
        std::string_view(reinterpret_cast<const char*>(entry.data.data()), entry.data.size()) != "little") {
      return BadInput("the tensors are big-endian");
    }
    if (const std::string_view key = StorageKey(entry.name); !key.empty()) file.storages_[std::string(key)] = entry.data;
  }
  if (pickle == nullptr) return BadInput("not a file of torch.save: the archive has no data.pkl");
  if (pickle->data.size() > kMostPickleBytes) return BadInput(fmt::format("data.pkl has {} bytes", pickle->data.size()));
  ASSIGN_OR_RETURN(file.pickle_, Pickle::Parse(pickle->data));
  return file;
}

Result<IntTensor> TorchFile::Ints(const PickleValue& value, size_t dimensions, const std::string& what) const {
  const auto* tensor = std::get_if<PickleTensor>(&value);
  if (tensor == nullptr) return BadInput(fmt::format("'{}' is not a tensor", what));
  if (tensor->sizes.size() != dimensions || tensor->strides.size() != dimensions) {
    return BadInput(fmt::format("'{}' has {} dimensions, not {}", what, tensor->sizes.size(), dimensions));
  }
  IntTensor view;
  const IntType* type = nullptr;
  for (const IntType& known : kIntTypes) {
    if (known.storage == tensor->storage.type) type = &known;
  }
  if (type == nullptr) return BadInput(fmt::format("'{}' is a tensor of {}, not of integers", what, tensor->storage.type));
  const auto found = storages_.find(tensor->storage.key);
  if (found == storages_.end()) return BadInput(fmt::format("the storage '{}' of '{}' is missing", tensor->storage.key, what));
  view.storage_ = found->second;
  view.width_ = type->width;
  view.signed_ = type->is_signed;
  view.offset_ = tensor->offset;
  view.sizes_ = tensor->sizes;
  view.strides_ = tensor->strides;
  const auto held = static_cast<int64_t>(view.storage_.size()) / type->width;
  int64_t elements = 0;
  const int64_t extent = ExtentOf(*tensor, elements);
  if (tensor->offset < 0 || extent < 0) return BadInput(fmt::format("the tensor '{}' has an impossible shape", what));
  if (elements > 0 && (extent > held || elements > held)) {
    return BadInput(fmt::format("the tensor '{}' shows {} elements, its storage holds {}", what, elements, held));
  }
  return view;
}

}  // namespace moecap::trace
