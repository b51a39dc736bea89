// Attention and FFN of one layer from its tensors and the architecture's keys. Private to the GGUF reader.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/gguf.h"
#include "model/model_spec.h"

namespace moecap::model {

// Tensors of one layer by name without "blk.N.". Views into the GgufFile.
using GgufLayerTensors = std::map<std::string_view, const GgufTensor*>;

// Keys "<architecture>.<key>".
class GgufKeys {
 public:
  GgufKeys(const GgufFile& file, std::string architecture) : file_(file), architecture_(std::move(architecture)) {}

  const std::string& architecture() const { return architecture_; }
  std::string Name(std::string_view key) const { return architecture_ + "." + std::string(key); }
  bool Has(std::string_view key) const { return file_.Find(Name(key)) != nullptr; }
  // A scalar, or entry `layer` of a per-layer array (an array without that entry: null).
  std::optional<int64_t> Int(std::string_view key, int layer = 0) const;
  // Error naming the key when it is missing or not in 1..2^20, which no real size exceeds (so that products cannot overflow).
  Result<int64_t> Need(std::string_view key, int layer = 0) const;
  // The same with a value for a missing key; 0 is allowed.
  Result<int64_t> Optional(std::string_view key, int64_t fallback, int layer = 0) const;
  // The array; null when missing or a scalar.
  std::optional<std::vector<int64_t>> Array(std::string_view key) const;

 private:
  const GgufFile& file_;
  std::string architecture_;
};

Status FillFfn(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, LayerSpec& spec);
Status FillAttention(const GgufKeys& keys, const GgufLayerTensors& tensors, int layer, ModelSpec& spec);

}  // namespace moecap::model
