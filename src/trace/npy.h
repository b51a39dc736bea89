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

namespace moecap::trace {

// RFC 4648 with '+' and '/', padding optional, line breaks ignored. Error kBadInput: another character or an impossible length.
Result<std::string> DecodeBase64(std::string_view text);

struct NpyArray {
  int64_t size(size_t dimension) const { return shape[dimension]; }
  std::vector<int64_t> shape;
  std::vector<int32_t> values;  // row-major
};

// Whether the bytes begin as a .npy does.
bool LooksLikeNpy(std::span<const std::byte> bytes);

// `descr` |u1, |i1, <u2, <i2, <i4, <i8 (values of <i8 must fit 32 bits), C order, at most 2^28 values. Error kBadInput names
// what is different.
Result<NpyArray> ParseNpy(std::span<const std::byte> bytes);

}  // namespace moecap::trace
