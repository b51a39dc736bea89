// Arrays of small integers in NumPy's .npy format, as servers return them in base64.
// Format: numpy/lib/format.py, versions 1 to 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::routing {

// RFC 4648 with '+' and '/', padding optional, line breaks ignored. Error kBadInput: another character or an impossible length.
Result<std::string> DecodeBase64(std::string_view text);

// A view of an array's bytes, which must outlive it.
struct NpyArray {
  std::vector<int64_t> shape;
  bool fortran_order = false;  // the first index runs fastest
  int64_t size = 0;            // values, the product of `shape`
  std::span<const std::byte> data;
  int64_t (*read)(const std::byte* value) = nullptr;
  size_t width = 0;  // bytes of a value
  int64_t most = 0;  // that the type can hold

  // In the order of the bytes, 0 <= index < size.
  int64_t At(int64_t index) const { return read(data.data() + static_cast<size_t>(index) * width); }
};

// Whether the bytes begin as a .npy does.
bool LooksLikeNpy(std::span<const std::byte> bytes);

// `descr` |u1, |i1, <u2, <i2, <u4, <i4, <u8, <i8, at most 2^28 values. Error kBadInput names what is different.
Result<NpyArray> ParseNpy(std::span<const std::byte> bytes);

}  // namespace moecap::routing
