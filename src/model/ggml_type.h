// Tensor types of GGUF files: name, block size and bytes per block, so that a tensor's bytes are exact, scales included.
// Facts: ggml.h (numbers) and ggml-common.h (block structs) of the pinned engine release.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace moecap::model {

struct GgmlType {
  uint32_t id;            // number in the file
  std::string_view name;  // upper case, as users write it: "F16", "Q4_0", "Q4_K"
  int64_t block_elements;
  int64_t block_bytes;
  bool integer = false;  // a table of indices, not weights

  double BitsPerElement() const { return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_elements); }
};

// Null for a number that is not (or no longer) a type of GGUF files.
std::optional<GgmlType> GgmlTypeById(uint32_t id);
// Case does not matter. Null for an unknown name.
std::optional<GgmlType> GgmlTypeByName(std::string_view name);
std::span<const GgmlType> AllGgmlTypes();

}  // namespace moecap::model
